//! AMX in software, for tests on processors without it. The kernel's real
//! instruction bytes trap as illegal, and the trap handler does what the manual
//! says (Intel SDM volume 2, TDPBSSD, TILELOADD and so on).
//!
//! Each thread has its own state, as on the processor. An instruction that the
//! processor would refuse (not configured, registers that do not fit) ends the
//! test.

use core::sync::atomic::{AtomicUsize, Ordering};
use libc::{REG_RIP, SIGILL, c_int, c_void, siginfo_t, ucontext_t};
use poai_core::simd::{ALL, Kernel, assume_amx};
use std::cell::RefCell;
use std::sync::Once;

/// One tile register: up to 16 rows of 64 bytes.
type Tile = [[u8; 64]; 16];

/// The tile configuration and registers of a thread.
struct State {
    configured: bool,
    /// Bytes of a row of each register, and its rows.
    sizes: [(usize, usize); 8],
    tiles: [Tile; 8],
}

const BARE: State = State { configured: false, sizes: [(0, 0); 8], tiles: [[[0; 64]; 16]; 8] };

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(BARE) };
}

/// The AMX kernel, on real instructions if the processor has them, else on
/// emulated ones. On processors without AVX-512 it prints a line and returns
/// `None`.
pub fn emulated() -> Option<&'static dyn Kernel> {
    let real = ALL.iter().find(|entry| entry.name == "cpu-amx").and_then(|amx| (amx.find)());
    if real.is_some() {
        println!("this processor has AMX: nothing is emulated");
        return real;
    }
    install();
    // SAFETY: the emulator handles these instructions in the whole process.
    let kernel = unsafe { assume_amx() };
    if kernel.is_none() {
        println!("SKIPPED: emulated AMX needs AVX-512 F, BW, VBMI and VNNI");
    }
    kernel
}

/// Installs the trap handler for the whole process.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: zeros are an empty set of flags and signals; the handler has
        // the signature that SA_SIGINFO asks for.
        let done = unsafe {
            let mut action: libc::sigaction = core::mem::zeroed();
            action.sa_flags = libc::SA_SIGINFO;
            action.sa_sigaction = trapped as *const () as usize;
            libc::sigaction(SIGILL, &action, core::ptr::null_mut())
        };
        assert_eq!(done, 0, "the handler is installed");
    });
}

/// The number of tile instructions that were emulated, by all threads.
static ANSWERED: AtomicUsize = AtomicUsize::new(0);

/// Whether any instruction was emulated.
pub fn was_used() -> bool {
    ANSWERED.load(Ordering::Relaxed) > 0
}

/// Whether this thread has released its tile registers.
pub fn is_released() -> bool {
    STATE.with_borrow(|state| !state.configured)
}

extern "C" fn trapped(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes the interrupted thread's context to the
    // handler, which has exclusive use of it until it returns.
    let registers = unsafe { &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs };
    let rip = registers[REG_RIP as usize] as usize;
    // SAFETY: an instruction was fetched from here; no decoded one is longer,
    // and the code continues after it.
    let bytes = unsafe { *(rip as *const [u8; 11]) };
    let instruction = Instruction::decode(&bytes, |number| {
        const ORDER: [c_int; 16] = [
            libc::REG_RAX,
            libc::REG_RCX,
            libc::REG_RDX,
            libc::REG_RBX,
            libc::REG_RSP,
            libc::REG_RBP,
            libc::REG_RSI,
            libc::REG_RDI,
            libc::REG_R8,
            libc::REG_R9,
            libc::REG_R10,
            libc::REG_R11,
            libc::REG_R12,
            libc::REG_R13,
            libc::REG_R14,
            libc::REG_R15,
        ];
        registers[ORDER[number] as usize] as usize
    });
    ANSWERED.fetch_add(1, Ordering::Relaxed);
    let done = instruction.and_then(|(instruction, length)| {
        registers[REG_RIP as usize] += length as i64;
        STATE.with_borrow_mut(|state| state.execute(instruction))
    });
    if let Err(why) = done {
        eprintln!("emulated AMX: {why}: {bytes:02x?}");
        std::process::abort();
    }
}

/// A place in memory: rows of a tile lie `stride` bytes apart.
#[derive(Clone, Copy)]
struct Place {
    base: usize,
    stride: usize,
}

enum Instruction {
    Configure(usize),
    Release,
    Zero(usize),
    Load(usize, Place),
    Store(usize, Place),
    DotProduct { sums: usize, a: usize, b: usize },
}

impl Instruction {
    /// Decodes one instruction with a three-byte VEX prefix in map 0F38, of 128
    /// bits and W0, as all AMX instructions are. Also returns its length.
    fn decode(
        bytes: &[u8; 11],
        register: impl Fn(usize) -> usize,
    ) -> Result<(Instruction, usize), &'static str> {
        let [0xc4, map, prefix, opcode, modrm, ..] = *bytes else { return Err("no VEX prefix") };
        if map & 31 != 2 || prefix & 0x84 != 0 {
            return Err("not in map 0F38 with W0 and L0");
        }
        let high = |bit: u8| usize::from(map >> bit & 1 == 0) << 3;
        let other = usize::from(!(prefix >> 3) & 15);
        let (field, rm) = (usize::from(modrm >> 3 & 7), usize::from(modrm & 7));
        if modrm >> 6 == 3 {
            let instruction = match (opcode, prefix & 3) {
                (0x49, 0) if modrm == 0xc0 => Instruction::Release,
                (0x49, 3) if rm == 0 => Instruction::Zero(field),
                (0x5e, 3) => Instruction::DotProduct { sums: field, a: rm, b: other },
                _ => return Err("expected a known register form, got another"),
            };
            return Ok((instruction, 5));
        }
        let (mut base, mut stride, mut length) = (0, 0, 5);
        if rm == 4 {
            let sib = bytes[5];
            length += 1;
            let index = usize::from(sib >> 3 & 7) | high(6);
            if index != 4 {
                stride = register(index) << (sib >> 6);
            }
            if sib & 7 == 5 && modrm >> 6 == 0 {
                return Err("no base register");
            }
            base += register(usize::from(sib & 7) | high(5));
        } else if rm == 5 && modrm >> 6 == 0 {
            return Err("relative to the instruction");
        } else {
            base += register(rm | high(5));
        }
        let displacement = match modrm >> 6 {
            0 => 0,
            1 => i32::from(bytes[length] as i8),
            _ => i32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[length + i])),
        };
        length += [0, 1, 4][usize::from(modrm >> 6)];
        base = base.wrapping_add_signed(displacement as isize);
        let place = Place { base, stride };
        let instruction = match (opcode, prefix & 3) {
            (0x49, 0) if field == 0 => Instruction::Configure(base),
            (0x4b, 3) if rm == 4 => Instruction::Load(field, place),
            (0x4b, 2) if rm == 4 => Instruction::Store(field, place),
            _ => return Err("unknown memory form"),
        };
        Ok((instruction, length))
    }
}

impl State {
    fn execute(&mut self, instruction: Instruction) -> Result<(), &'static str> {
        if !self.configured
            && !matches!(instruction, Instruction::Configure(_) | Instruction::Release)
        {
            return Err("no set-up");
        }
        match instruction {
            Instruction::Configure(place) => return self.configure(place),
            Instruction::Release => *self = BARE,
            Instruction::Zero(tile) => self.tiles[tile] = [[0; 64]; 16],
            Instruction::Load(tile, place) => {
                let (width, rows) = self.sizes[tile];
                self.tiles[tile] = [[0; 64]; 16];
                for (i, row) in self.tiles[tile][..rows].iter_mut().enumerate() {
                    let from = place.base.wrapping_add(i.wrapping_mul(place.stride));
                    // SAFETY: the kernel's instruction may read this memory.
                    unsafe {
                        core::ptr::copy_nonoverlapping(from as *const u8, row.as_mut_ptr(), width)
                    };
                }
            }
            Instruction::Store(tile, place) => {
                let (width, rows) = self.sizes[tile];
                for (i, row) in self.tiles[tile][..rows].iter().enumerate() {
                    let to = place.base.wrapping_add(i.wrapping_mul(place.stride));
                    // SAFETY: the kernel's instruction may write this memory.
                    unsafe { core::ptr::copy_nonoverlapping(row.as_ptr(), to as *mut u8, width) };
                }
            }
            Instruction::DotProduct { sums, a, b } => return self.dot_product(sums, a, b),
        }
        Ok(())
    }

    fn configure(&mut self, place: usize) -> Result<(), &'static str> {
        // SAFETY: the kernel's instruction may read this memory.
        let config = unsafe { *(place as *const [u8; 64]) };
        let reserved = config[2..16].iter().chain(&config[32..48]).chain(&config[56..]);
        if config[0] != 1 || config[1] != 0 || reserved.into_iter().any(|&byte| byte != 0) {
            return Err("not palette 1 from row 0");
        }
        *self = State { configured: true, ..BARE };
        for (tile, size) in self.sizes.iter_mut().enumerate() {
            let width = u16::from_le_bytes([config[16 + 2 * tile], config[17 + 2 * tile]]);
            *size = (usize::from(width), usize::from(config[48 + tile]));
            if size.0 > 64 || size.1 > 16 {
                return Err("a register larger than the palette's");
            }
        }
        Ok(())
    }

    /// Adds to each sum the products of four signed bytes of A's row and four
    /// bytes of B's column, for every four bytes of A's row.
    fn dot_product(&mut self, sums: usize, a: usize, b: usize) -> Result<(), &'static str> {
        let [(to_width, to_rows), (a_width, a_rows), (b_width, b_rows)] =
            [sums, a, b].map(|tile| self.sizes[tile]);
        let fits = a_rows == to_rows && b_width == to_width && b_rows * 4 == a_width;
        if sums == a || sums == b || a == b || !fits {
            return Err("registers that do not multiply");
        }
        let (a, b) = (self.tiles[a], self.tiles[b]);
        for (row, a) in self.tiles[sums][..to_rows].iter_mut().zip(&a) {
            for (n, sum) in row[..to_width].as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let products = a[..a_width]
                    .iter()
                    .enumerate()
                    .map(|(i, &a)| i32::from(a as i8) * i32::from(b[i / 4][4 * n + i % 4] as i8));
                *sum = i32::from_le_bytes(*sum).wrapping_add(products.sum()).to_le_bytes();
            }
        }
        Ok(())
    }
}
