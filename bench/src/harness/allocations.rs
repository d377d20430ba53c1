//! Counts what Rust code allocates. What a C library allocates is not seen here.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The system's allocator, counted.
pub struct Counting;

/// Counters that threads share cost a cache line each; a stripe per thread keeps the measurement from being the load.
const STRIPES: usize = 32;

#[repr(align(128))]
struct Stripe(AtomicU64, AtomicU64);

static COUNTED: [Stripe; STRIPES] = [const { Stripe(AtomicU64::new(0), AtomicU64::new(0)) }; STRIPES];
static THREADS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static STRIPE: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

fn count(bytes: usize) {
    // A thread that ends may allocate after its locals are gone.
    let stripe = STRIPE.try_with(|stripe| {
        if stripe.get() == usize::MAX {
            stripe.set(THREADS.fetch_add(1, Relaxed) as usize % STRIPES);
        }
        stripe.get()
    });
    let stripe = &COUNTED[stripe.unwrap_or(0)];
    stripe.0.fetch_add(1, Relaxed);
    stripe.1.fetch_add(bytes as u64, Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Allocations and their bytes up to now.
pub fn so_far() -> (u64, u64) {
    COUNTED.iter().fold((0, 0), |sum, it| (sum.0 + it.0.load(Relaxed), sum.1 + it.1.load(Relaxed)))
}
