//! What screens are made of.

mod action;
mod choice;
mod field;
mod layout;
mod text;

pub(super) use action::{Action, ActionKind};
pub(super) use choice::{choice_ui, segments_ui};
pub(super) use field::TextField;
pub(super) use layout::{card_ui, notice_ui, page_ui, split_row_ui, two_lines_ui};
pub(super) use text::{chip_ui, colored, lamp_ui, strong, text, weak};
