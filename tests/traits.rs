//! What the public types may be used for, as a table: changing a row is a change of the interface.
#![cfg(not(connlimit_model))]

use connlimit::{
    Batch, Client, Config, Limiter, Permit, Rejected,
    config::{ConfigError, WhenFull},
    stats::{ClientCount, Clients, Stats},
};
use core::panic::{RefUnwindSafe, UnwindSafe};

/// Whether a type has a trait. An inherent constant is found before a trait's, and it is only there under the bound.
macro_rules! has {
    ($type:ty: $($bound:tt)+) => {{
        #[allow(dead_code, reason = "not looked at when the type has got the trait")]
        trait Otherwise {
            const HAS: bool = false;
        }
        impl<T: ?Sized> Otherwise for T {}
        struct Ask<T: ?Sized>(core::marker::PhantomData<T>);
        #[allow(dead_code, reason = "not looked at when the type has not got the trait")]
        impl<T: ?Sized + $($bound)+> Ask<T> {
            const HAS: bool = true;
        }
        <Ask<$type>>::HAS
    }};
}

#[test]
fn the_question_can_be_answered_with_no() {
    assert!(has!(u8: Send));
    assert!(!has!(*const u8: Send));
    assert!(!has!(String: Copy));
}

#[test]
fn limiters_and_permits_go_anywhere() {
    assert!(has!(Limiter: Send + Sync + Unpin + 'static));
    assert!(has!(Permit: Send + Sync + Unpin + 'static));
}

#[test]
fn limiters_and_permits_cross_a_panic() {
    assert!(has!(Limiter: UnwindSafe + RefUnwindSafe));
    assert!(has!(Permit: UnwindSafe + RefUnwindSafe));
}

#[test]
fn a_batch_stays_on_its_thread() {
    assert!(!has!(Batch<'static>: Send));
    assert!(!has!(Batch<'static>: Sync));
    assert!(has!(Batch<'static>: Unpin));
}

#[test]
fn a_walk_may_be_kept_anywhere() {
    assert!(has!(Clients<'static>: Send + Sync + Unpin + core::iter::FusedIterator<Item = ClientCount>));
}

#[test]
fn a_permit_is_given_back_once() {
    assert!(!has!(Permit: Clone));
    assert!(has!(Limiter: Clone));
    assert!(!has!(Limiter: Copy));
}

#[test]
fn answers_and_settings_are_plain_values() {
    assert!(has!(Rejected: Copy + Eq + core::hash::Hash + core::error::Error + Send + Sync + UnwindSafe));
    assert!(has!(ConfigError: Clone + Eq + core::error::Error + Send + Sync + UnwindSafe + 'static));
    assert!(has!(Client: Copy + Ord + core::hash::Hash + core::fmt::Display + Send + Sync + UnwindSafe));
    assert!(has!(ClientCount: Copy + Eq + core::hash::Hash + Send + Sync + UnwindSafe));
    assert!(has!(Stats: Clone + Eq + Default + Send + Sync + UnwindSafe));
    assert!(has!(WhenFull: Copy + Eq + Default + Send + Sync + UnwindSafe));
    assert!(has!(Config: Clone + Eq + Send + Sync + UnwindSafe));
}

#[test]
fn everything_can_be_shown() {
    assert!(has!(Limiter: core::fmt::Debug));
    assert!(has!(Permit: core::fmt::Debug));
    assert!(has!(Batch<'static>: core::fmt::Debug));
    assert!(has!(Rejected: core::fmt::Debug + core::fmt::Display));
    assert!(has!(ConfigError: core::fmt::Debug + core::fmt::Display));
    assert!(has!(Client: core::fmt::Debug));
}

/// A server keeps one in every connection.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_permit_is_one_word() {
    assert_eq!(size_of::<Option<Permit>>(), size_of::<usize>());
}
