pub mod requests;
pub mod waker;
