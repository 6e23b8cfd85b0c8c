//! The BTF of a fused program: functions, and the one structure that they take. Format: `Documentation/bpf/btf.rst`.

/// How the verifier sees a function.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Linkage {
    /// Followed at each call.
    Static = 0,
    /// Verified by itself, from its types.
    Global = 1,
}

const HEADER_BYTES: u32 = 24;

const KIND_INT: u32 = 1;
const KIND_POINTER: u32 = 2;
const KIND_STRUCT: u32 = 4;
const KIND_FUNCTION: u32 = 12;
const KIND_PROTOTYPE: u32 = 13;

const INT: u32 = 1;
const CONTEXT: u32 = 2;
const POINTER: u32 = 3;
/// `int (struct context *)`
const OF_PACKET: u32 = 4;
/// `int (void)`: nothing is claimed about the arguments of a static function.
const OF_NOTHING: u32 = 5;

/// The kernel lets no name be longer (`KSYM_NAME_LEN` before 6.1).
const NAME_BYTES: usize = 100;

/// Types and their names, in the making.
#[derive(Debug)]
pub(super) struct Types {
    words: Vec<u32>,
    names: Vec<u8>,
    last: u32,
}

impl Types {
    /// With what every function refers to; `context` is the kernel's name of the structure.
    pub(super) fn new(context: &str) -> Self {
        const SIGNED_32_BITS: u32 = 1 << 24 | 32;
        let mut types = Self {
            words: Vec::new(),
            names: vec![0],
            last: 0,
        };
        let (int, context, packet) = (types.name("int"), types.name(context), types.name("packet"));
        types.put(int, KIND_INT, 0, 4, &[SIGNED_32_BITS]);
        types.put(context, KIND_STRUCT, 0, 0, &[]);
        types.put(0, KIND_POINTER, 0, CONTEXT, &[]);
        types.put(0, KIND_PROTOTYPE, 1, INT, &[packet, POINTER]);
        types.put(0, KIND_PROTOTYPE, 0, INT, &[]);
        types
    }

    /// Adds a function; its type id.
    pub(super) fn function(&mut self, name: &str, linkage: Linkage) -> u32 {
        let name = self.name(&identifier(name));
        let prototype = match linkage {
            Linkage::Static => OF_NOTHING,
            Linkage::Global => OF_PACKET,
        };
        self.put(name, KIND_FUNCTION, linkage as u32, prototype, &[]);
        self.last
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        const MAGIC: u16 = 0xeb9f;
        const VERSION: u8 = 1;
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let types = length(self.words.len() * 4);
        let mut blob = Vec::new();
        blob.extend_from_slice(&MAGIC.to_ne_bytes());
        blob.extend_from_slice(&[VERSION, 0]);
        for word in [HEADER_BYTES, 0, types, types, length(self.names.len())] {
            blob.extend_from_slice(&word.to_ne_bytes());
        }
        blob.extend(self.words.iter().flat_map(|word| word.to_ne_bytes()));
        blob.extend_from_slice(&self.names);
        blob
    }

    fn put(&mut self, name: u32, kind: u32, variant: u32, size_or_type: u32, more: &[u32]) {
        self.words
            .extend_from_slice(&[name, kind << 24 | variant, size_or_type]);
        self.words.extend_from_slice(more);
        self.last += 1;
    }

    fn name(&mut self, name: &str) -> u32 {
        let offset = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.extend_from_slice(name.as_bytes());
        self.names.push(0);
        offset
    }
}

/// The name as the kernel takes it: letters, digits, underscores, of a bounded length.
fn identifier(name: &str) -> String {
    name.chars()
        .map(|letter| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => letter,
            _ => '_',
        })
        .take(NAME_BYTES)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aya_obj::btf::{Btf, BtfKind};

    #[test]
    fn another_reader_finds_the_functions() {
        let mut types = Types::new("xdp_md");
        let global = types.function("m0_pass", Linkage::Global);
        let inner = types.function(&format!("m0_{}.part", "x".repeat(300)), Linkage::Static);
        let btf = Btf::parse(&types.into_bytes(), object::Endianness::Little).unwrap();
        assert_eq!(
            btf.id_by_type_name_kind("m0_pass", BtfKind::Func).unwrap(),
            global
        );
        assert_eq!(
            btf.id_by_type_name_kind("xdp_md", BtfKind::Struct).unwrap(),
            CONTEXT
        );
        assert_eq!((global, inner), (6, 7));
        assert_eq!(identifier("a.b-c"), "a_b_c");
    }
}
