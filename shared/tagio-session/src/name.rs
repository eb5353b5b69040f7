//! Names that strangers give themselves, made fit for one line of a prompt.

use tagio_wire::limits::PEER_NAME_BYTES_MAX;

/// `name` without control characters and without invisible ones that reorder or hide text, cut to
/// [`PEER_NAME_BYTES_MAX`] between characters.
pub fn sanitised(name: &str) -> String {
    let mut clean = String::with_capacity(name.len().min(PEER_NAME_BYTES_MAX));
    for c in name.trim().chars().filter(|c| !c.is_control() && !is_deceptive(*c)) {
        if clean.len() + c.len_utf8() > PEER_NAME_BYTES_MAX {
            break;
        }
        clean.push(c);
    }
    clean
}

/// Zero-width characters, line separators, marks and overrides of writing direction, and tags.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_to_one_honest_line() {
        let rows = [
            ("Ada's laptop", "Ada's laptop"),
            ("  Zoë\n\r\t\u{7}  ", "Zoë"),
            ("a\u{202e}exe.txt\u{200b}", "aexe.txt"),
            ("", ""),
        ];
        for (given, expected) in rows {
            assert_eq!(sanitised(given), expected);
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let cut = sanitised(&"€".repeat(100));
        assert_eq!(cut, "€".repeat(PEER_NAME_BYTES_MAX / 3));
    }
}
