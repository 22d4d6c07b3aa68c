pub mod requests;

