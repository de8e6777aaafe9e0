//! memcpy(3) and memmove(3).
//!
//! musl's begin a string instruction for every few bytes, which takes as long as copying a hundred, and
//! JSON is read and written in pieces of few bytes: with 64 GPUs it is a tenth of a container's create.
//! No crate has another, and a definition in Rust would be compiled into a call of itself.

#![allow(unsafe_code)]

use std::arch::global_asm;

// Up to 64 bytes are all read before one is written, so that source and destination may overlap: the
// first and the last half of them, which have some in common where the length is between two powers
// of two. `rep movsb` is what processors copy long runs best with, forwards alone.
//
// SAFETY: it reads `rdx` bytes at `rsi`, writes as many at `rdi`, and changes registers that belong to the
// called function in the C calling convention of x86-64, which has the direction flag clear.
global_asm!(
    ".pushsection .text.copy_bytes,\"ax\",@progbits",
    ".globl copy_bytes",
    ".hidden copy_bytes",
    ".type copy_bytes, @function",
    ".p2align 4",
    "copy_bytes:",
    "mov rax, rdi",
    "cmp rdx, 16",
    "jb 20f",
    "cmp rdx, 32",
    "ja 10f",
    "movdqu xmm0, [rsi]",
    "movdqu xmm1, [rsi + rdx - 16]",
    "movdqu [rdi], xmm0",
    "movdqu [rdi + rdx - 16], xmm1",
    "ret",
    // 33 to 64 bytes.
    "10:",
    "cmp rdx, 64",
    "ja 40f",
    "movdqu xmm0, [rsi]",
    "movdqu xmm1, [rsi + 16]",
    "movdqu xmm2, [rsi + rdx - 32]",
    "movdqu xmm3, [rsi + rdx - 16]",
    "movdqu [rdi], xmm0",
    "movdqu [rdi + 16], xmm1",
    "movdqu [rdi + rdx - 32], xmm2",
    "movdqu [rdi + rdx - 16], xmm3",
    "ret",
    // Up to 15 bytes.
    "20:",
    "cmp edx, 8",
    "jb 21f",
    "mov rcx, [rsi]",
    "mov r8, [rsi + rdx - 8]",
    "mov [rdi], rcx",
    "mov [rdi + rdx - 8], r8",
    "ret",
    "21:",
    "cmp edx, 4",
    "jb 22f",
    "mov ecx, [rsi]",
    "mov r8d, [rsi + rdx - 4]",
    "mov [rdi], ecx",
    "mov [rdi + rdx - 4], r8d",
    "ret",
    "22:",
    "cmp edx, 2",
    "jb 23f",
    "movzx ecx, word ptr [rsi]",
    "movzx r8d, word ptr [rsi + rdx - 2]",
    "mov [rdi], cx",
    "mov [rdi + rdx - 2], r8w",
    "ret",
    "23:",
    "test edx, edx",
    "je 24f",
    "movzx ecx, byte ptr [rsi]",
    "mov [rdi], cl",
    "24:",
    "ret",
    // More than 64 bytes: forwards, unless the destination begins within the source.
    "40:",
    "mov rcx, rdi",
    "sub rcx, rsi",
    "cmp rcx, rdx",
    "jb 41f",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    // Backwards. The first 16 bytes are read ahead, and written last.
    "41:",
    "movdqu xmm1, [rsi]",
    "42:",
    "movdqu xmm0, [rsi + rdx - 16]",
    "movdqu [rdi + rdx - 16], xmm0",
    "sub rdx, 16",
    "cmp rdx, 16",
    "ja 42b",
    "movdqu [rdi], xmm1",
    "ret",
    ".size copy_bytes, . - copy_bytes",
    ".popsection",
);

// SAFETY: names for the above, which does what the standard says of both.
#[cfg(target_env = "musl")]
global_asm!(
    ".globl memcpy",
    ".globl memmove",
    ".type memcpy, @function",
    ".type memmove, @function",
    ".set memcpy, copy_bytes",
    ".set memmove, copy_bytes",
);

#[cfg(test)]
mod tests {
    unsafe extern "C" {
        fn copy_bytes(to: *mut u8, from: *const u8, count: usize) -> *mut u8;
    }

    const LONGEST: usize = 300;

    /// Copies within a buffer in which every byte differs from its neighbours, and compares with
    /// [`slice::copy_within`].
    fn check(from: usize, to: usize, count: usize) {
        let mut bytes: Vec<u8> = (0..3 * LONGEST).map(|n| (n * 7 % 251) as u8).collect();
        let mut expected = bytes.clone();
        expected.copy_within(from..from + count, to);
        let start = bytes.as_mut_ptr();
        // SAFETY: both ranges are in `bytes`: the callers' sums are at most 3 * LONGEST.
        let returned = unsafe { copy_bytes(start.add(to), start.add(from), count) };
        assert_eq!(returned, start.wrapping_add(to));
        assert_eq!(bytes, expected, "{count} bytes from {from} to {to}");
    }

    #[test]
    fn bytes_are_copied_whatever_their_number_and_place() {
        for count in 0..=LONGEST {
            for shift in 0..17 {
                check(shift, 2 * LONGEST - shift, count);
                check(2 * LONGEST - shift, shift, count);
            }
        }
    }

    #[test]
    fn bytes_that_overlap_are_copied_as_they_were() {
        for count in 0..=LONGEST {
            for distance in 0..=count.min(70) {
                check(LONGEST, LONGEST + distance, count);
                check(LONGEST, LONGEST - distance, count);
            }
            check(LONGEST, LONGEST + count / 2, count);
            check(LONGEST, LONGEST - count / 2, count);
        }
    }

    #[test]
    fn long_runs_are_copied_in_both_directions() {
        let original: Vec<u8> = (0..100_000u32).map(|n| (n % 253) as u8).collect();
        for (from, to) in [(0, 1), (1, 0), (0, 40_000), (40_000, 0), (10, 10)] {
            let mut bytes = original.clone();
            let mut expected = original.clone();
            expected.copy_within(from..from + 50_000, to);
            let start = bytes.as_mut_ptr();
            // SAFETY: both ranges end below 100,000.
            unsafe { copy_bytes(start.add(to), start.add(from), 50_000) };
            assert!(bytes == expected, "from {from} to {to}");
        }
    }
}
