//! Rules of a POP: which nodes there are, which of them a user's session leaves by, who may have how many and how fast.

pub mod book;
pub mod pace;
pub mod token;
pub mod user;

pub use book::{Chosen, EdgeBook, LinkId};
pub use pace::Direction;
pub use token::TokenMint;
pub use user::{NodeId, UserName};
