//! The few instructions that the generated function consists of. Names follow `Documentation/bpf/standardization`.

/// A register.
#[allow(missing_docs, reason = "the names are the field's own terms")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Register {
    R0 = 0,
    R1 = 1,
    R2 = 2,
    R3 = 3,
    R4 = 4,
    R5 = 5,
    R6 = 6,
    R7 = 7,
    R10 = 10,
}

/// A jump whose target is not known yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jump(usize);

/// A call whose function does not stand anywhere yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call(usize);

/// Instructions, 8 bytes each.
#[derive(Debug, Default)]
pub(super) struct Assembler(Vec<[u8; 8]>);

impl Assembler {
    /// Instructions so far.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_flattened()
    }

    /// Appends instructions that somebody else made.
    pub(super) fn append(&mut self, instructions: &[u8]) {
        self.0.extend_from_slice(instructions.as_chunks().0);
    }

    pub(super) fn mov(&mut self, to: Register, from: Register) {
        self.put(0xbf, to as u8, from as u8, 0, 0);
    }

    /// The upper half becomes 0.
    pub(super) fn mov32(&mut self, to: Register, from: Register) {
        self.put(0xbc, to as u8, from as u8, 0, 0);
    }

    pub(super) fn mov_constant(&mut self, to: Register, value: i32) {
        self.put(0xb7, to as u8, 0, 0, value);
    }

    /// The upper half becomes 0.
    pub(super) fn mov32_constant(&mut self, to: Register, value: u32) {
        self.put(0xb4, to as u8, 0, 0, value.cast_signed());
    }

    pub(super) fn add(&mut self, to: Register, value: i32) {
        self.put(0x07, to as u8, 0, 0, value);
    }

    pub(super) fn add_register(&mut self, to: Register, from: Register) {
        self.put(0x0f, to as u8, from as u8, 0, 0);
    }

    pub(super) fn add32(&mut self, to: Register, value: i32) {
        self.put(0x04, to as u8, 0, 0, value);
    }

    pub(super) fn and(&mut self, to: Register, value: i32) {
        self.put(0x57, to as u8, 0, 0, value);
    }

    pub(super) fn shift_left(&mut self, to: Register, bits: i32) {
        self.put(0x67, to as u8, 0, 0, bits);
    }

    pub(super) fn shift_right(&mut self, to: Register, bits: Register) {
        self.put(0x7f, to as u8, bits as u8, 0, 0);
    }

    /// `to = *(u64 *)(from + offset)`
    pub(super) fn load64(&mut self, to: Register, from: Register, offset: i16) {
        self.put(0x79, to as u8, from as u8, offset, 0);
    }

    /// `*(u64 *)(to + offset) = from`
    pub(super) fn store64(&mut self, to: Register, offset: i16, from: Register) {
        self.put(0x7b, to as u8, from as u8, offset, 0);
    }

    /// The address of a map's only element: the two instructions that the map's descriptor is written into.
    pub(super) fn load_map_value(&mut self, to: Register) {
        const PSEUDO_MAP_VALUE: u8 = 2;
        self.put(0x18, to as u8, PSEUDO_MAP_VALUE, 0, 0);
        self.put(0, 0, 0, 0, 0);
    }

    pub(super) fn call_helper(&mut self, helper: i32) {
        self.put(0x85, 0, 0, 0, helper);
    }

    /// Calls a function that [`Assembler::set_call`] names.
    pub(super) fn call_later(&mut self) -> Call {
        const PSEUDO_CALL: u8 = 1;
        self.put(0x85, 0, PSEUDO_CALL, 0, 0);
        Call(self.len() - 1)
    }

    pub(super) fn set_call(&mut self, Call(call): Call, target: usize) {
        // The callee stands behind the caller, at most the kernel's million instructions away.
        let distance = i32::try_from(target - call - 1).unwrap_or(i32::MAX);
        self.0[call][4..].copy_from_slice(&distance.to_ne_bytes());
    }

    pub(super) fn jump(&mut self) -> Jump {
        self.branch(0x05, 0, 0)
    }

    /// To an instruction that is there already.
    pub(super) fn jump_back_if_not_zero(&mut self, register: Register, target: usize) {
        // As far as forward ones.
        let distance = i16::try_from(self.len() + 1 - target).unwrap_or(i16::MAX);
        self.put(0x55, register as u8, 0, -distance, 0);
    }

    /// Unsigned.
    pub(super) fn jump_if_greater(&mut self, register: Register, value: i32) -> Jump {
        self.branch(0x25, register as u8, value)
    }

    /// Unsigned, by the lower half.
    pub(super) fn jump_if_greater32(&mut self, register: Register, value: i32) -> Jump {
        self.branch(0x26, register as u8, value)
    }

    /// Unsigned, by the lower half.
    pub(super) fn jump_if_at_most32(&mut self, register: Register, value: i32) -> Jump {
        self.branch(0xb6, register as u8, value)
    }

    /// By the lower half.
    pub(super) fn jump_unless_equal32(&mut self, register: Register, value: i32) -> Jump {
        self.branch(0x56, register as u8, value)
    }

    /// The jump leads to the instruction that comes next.
    pub(super) fn land(&mut self, Jump(from): Jump) {
        // The generated function has at most 64 members of 30 instructions.
        let distance = i16::try_from(self.len() - from - 1).unwrap_or(i16::MAX);
        self.0[from][2..4].copy_from_slice(&distance.to_ne_bytes());
    }

    pub(super) fn exit(&mut self) {
        self.put(0x95, 0, 0, 0, 0);
    }

    fn branch(&mut self, opcode: u8, register: u8, value: i32) -> Jump {
        self.put(opcode, register, 0, 0, value);
        Jump(self.len() - 1)
    }

    fn put(&mut self, opcode: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        let [offset_low, offset_high] = offset.to_ne_bytes();
        let [a, b, c, d] = immediate.to_ne_bytes();
        // `struct bpf_insn` keeps its two registers in the order of bit fields, which is that of the machine.
        let registers = if cfg!(target_endian = "little") {
            from << 4 | to
        } else {
            to << 4 | from
        };
        self.0
            .push([opcode, registers, offset_low, offset_high, a, b, c, d]);
    }
}
