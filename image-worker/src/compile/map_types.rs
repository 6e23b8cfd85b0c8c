//! What the keys and values of maps look like. Whoever compares the maps of two objects reads no BTF: it gets a digest of
//! everything that matters, and a text to show.

use super::btf::{
    ARRAY, Btf, CONST, ENUM, ENUM64, FLOAT, FWD, INT, PTR, RESTRICT, STRUCT, TYPE_TAG, TYPEDEF,
    Type, UNION, VOLATILE,
};
use super::error::CompileError;
use crate::limits;
use ipc::limits::MAP_TYPE_BYTES;
use ipc::plan::{MapPlan, MapType};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// `BTF_INT_SIGNED`, `BTF_INT_BOOL`.
const SIGNED: u32 = 1;
const BOOL: u32 = 4;
/// Pointers and arrays that a text follows: beyond them nobody reads on.
const TEXT_DEPTH: usize = 4;

type Digest = [u8; 32];

/// Adds to the maps what their keys and values look like. `blob` is the BTF that their type ids are of.
pub(super) fn describe(blob: &[u8], maps: &mut [MapPlan]) -> Result<(), CompileError> {
    let btf = Btf::read(blob)?;
    let mut digests = Digests {
        btf: &btf,
        known: HashMap::new(),
    };
    // Data sections are never shared.
    for map in maps.iter_mut().filter(|map| !map.internal) {
        map.key_type = digests.of(map.btf_key_type_id)?;
        map.value_type = digests.of(map.btf_value_type_id)?;
    }
    for outer in 0..maps.len() {
        let inner = maps[outer].inner.and_then(|inner| maps.get(inner as usize));
        if let Some(value) = inner.map(inner_map) {
            maps[outer].value_type = Some(value);
        }
    }
    Ok(())
}

/// What the values of a map of maps are: the kernel refuses inner maps of another form than that of the first, and tells
/// nobody which that is.
fn inner_map(map: &MapPlan) -> MapType {
    let mut hash = Sha256::new();
    let numbers = [
        map.map_type,
        map.key_size,
        map.value_size,
        map.max_entries,
        map.flags,
    ];
    for number in numbers {
        hash.update(number.to_le_bytes());
    }
    for ty in [&map.key_type, &map.value_type] {
        hash.update(ty.as_ref().map_or(Digest::default(), |ty| ty.digest));
    }
    let text = |ty: &Option<MapType>, size: u32| {
        let bytes = || format!("{size} bytes");
        ty.as_ref().map_or_else(bytes, |ty| ty.text.clone())
    };
    MapType {
        text: cut(format!(
            "map of type {} with {} entries, {} to {}",
            map.map_type,
            map.max_entries,
            text(&map.key_type, map.key_size),
            text(&map.value_type, map.value_size),
        )),
        digest: hash.finalize().into(),
    }
}

/// Digests by type, each made of those of the types within it.
struct Digests<'b> {
    btf: &'b Btf<'b>,
    known: HashMap<u32, Digest>,
}

impl Digests<'_> {
    fn of(&mut self, id: u32) -> Result<Option<MapType>, CompileError> {
        if id == 0 {
            return Ok(None);
        }
        Ok(Some(MapType {
            digest: self.digest(id, 0)?,
            text: text(self.btf, id),
        }))
    }

    fn digest(&mut self, id: u32, depth: usize) -> Result<Digest, CompileError> {
        let btf = self.btf;
        let bad = |what: &str| CompileError::Btf(format!("type {id} {what}"));
        let (id, ty) = btf.resolve(id).ok_or_else(|| bad("is not there"))?;
        if let Some(known) = self.known.get(&id) {
            return Ok(*known);
        }
        // Also the end of a structure that contains itself.
        if depth > limits::TYPE_DEPTH {
            return Err(bad("is nested too deep"));
        }
        let mut form = Form::of(btf, ty);
        match ty.kind {
            INT => form.number(ty.size_or_type).number(ty.word(0)),
            FLOAT => form.number(ty.size_or_type),
            PTR => form.pointee(ty.size_or_type),
            ARRAY => {
                let (element, length) = ty.array();
                form.number(length).digest(self.digest(element, depth + 1)?)
            }
            STRUCT | UNION => {
                form.named().number(ty.size_or_type);
                for member in ty.members() {
                    let inner = self.digest(member.type_id, depth + 1)?;
                    form.text(member.name)
                        .number(member.bit_offset)
                        .number(member.bits)
                        .digest(inner);
                }
                &mut form
            }
            // Values may be added to an enumeration without a change to what is there.
            ENUM | ENUM64 => form
                .named()
                .number(ty.size_or_type)
                .number(u32::from(ty.flag)),
            FWD => form.named().number(u32::from(ty.flag)),
            _ => &mut form,
        };
        let digest = form.hash.finalize().into();
        self.known.insert(id, digest);
        Ok(digest)
    }
}

/// What is hashed of a type: numbers of fixed length, texts with their length before them.
struct Form<'b> {
    btf: &'b Btf<'b>,
    name: u32,
    hash: Sha256,
}

impl<'b> Form<'b> {
    fn of(btf: &'b Btf<'b>, ty: &Type<'_>) -> Self {
        let mut form = Self {
            btf,
            name: ty.name,
            hash: Sha256::new(),
        };
        form.number(ty.kind);
        form
    }

    fn number(&mut self, number: u32) -> &mut Self {
        self.hash.update(number.to_le_bytes());
        self
    }

    fn digest(&mut self, digest: Digest) -> &mut Self {
        self.hash.update(digest);
        self
    }

    fn text(&mut self, offset: u32) -> &mut Self {
        let text = self.btf.text(offset).unwrap_or_default();
        self.hash.update((text.len() as u64).to_le_bytes());
        self.hash.update(text);
        self
    }

    fn named(&mut self) -> &mut Self {
        self.text(self.name)
    }

    /// What a pointer points to is elsewhere, so its name and its tags are enough: they make a pointer one that the kernel
    /// keeps (`__kptr`).
    fn pointee(&mut self, id: u32) -> &mut Self {
        let mut id = id;
        for _ in 0..limits::TYPE_DEPTH {
            let Some(ty) = self.btf.get(id) else { break };
            match ty.kind {
                TYPE_TAG => {
                    self.number(ty.kind).text(ty.name);
                    id = ty.size_or_type;
                }
                TYPEDEF | VOLATILE | CONST | RESTRICT => id = ty.size_or_type,
                _ => return self.number(ty.kind).text(ty.name),
            }
        }
        self
    }
}

/// The type for a message, with the members of a structure.
fn text(btf: &Btf<'_>, id: u32) -> String {
    let mut out = name(btf, id, 0);
    if let Some((_, ty)) = btf.resolve(id)
        && matches!(ty.kind, STRUCT | UNION)
    {
        out.push_str(" { ");
        for member in ty.members() {
            if out.len() > MAP_TYPE_BYTES {
                break;
            }
            out.push_str(&name(btf, member.type_id, 0));
            out.push(' ');
            out.push_str(btf.text(member.name).unwrap_or_default());
            if member.bits > 0 {
                out.push_str(&format!(":{}", member.bits));
            }
            out.push_str("; ");
        }
        out.push('}');
    }
    let printable = |character: char| match character {
        ' '..='~' => character,
        _ => '?',
    };
    cut(out.chars().map(printable).collect())
}

/// At most what a message may say of a type, of printable ASCII.
fn cut(mut text: String) -> String {
    if text.len() > MAP_TYPE_BYTES {
        text.truncate(MAP_TYPE_BYTES - 3);
        text.push_str("...");
    }
    text
}

fn name(btf: &Btf<'_>, id: u32, depth: usize) -> String {
    let Some((_, ty)) = btf.resolve(id).filter(|_| depth < TEXT_DEPTH) else {
        return "...".to_owned();
    };
    let named = |what: &str| {
        let name = btf.text(ty.name).unwrap_or_default();
        format!("{what} {name}").trim_end().to_owned()
    };
    let bits = ty.size_or_type.saturating_mul(8);
    match ty.kind {
        INT => match ty.word(0) >> 24 & 0xf {
            encoding if encoding & BOOL != 0 => "bool".to_owned(),
            _ if btf.text(ty.name) == Some("char") => "char".to_owned(),
            encoding if encoding & SIGNED != 0 => format!("s{bits}"),
            _ => format!("u{bits}"),
        },
        FLOAT => format!("float{bits}"),
        PTR => format!("{} *", name(btf, ty.size_or_type, depth + 1)),
        ARRAY => {
            let (element, length) = ty.array();
            format!("{}[{length}]", name(btf, element, depth + 1))
        }
        STRUCT => named("struct"),
        UNION => named("union"),
        ENUM | ENUM64 => named("enum"),
        FWD => named(if ty.flag { "union" } else { "struct" }),
        0 => "void".to_owned(),
        _ => "function".to_owned(),
    }
}
