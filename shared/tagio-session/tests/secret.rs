//! Codes and passwords as people type them.
#![allow(clippy::unwrap_used, reason = "a test says no by failing")]

use rand::{SeedableRng, rngs::StdRng};
use tagio_session::{OneTimeCode, PASSWORD_BYTES_MAX, PasswordError, check_password, classify};
use tagio_wire::session::SecretKind;

#[test]
fn a_code_is_read_however_it_is_typed() {
    let mut rng = StdRng::seed_from_u64(3);
    for _ in 0..1000 {
        let code = OneTimeCode::generate(&mut rng);
        let spelled = code.spelled();
        assert_eq!((spelled.len(), spelled.find('-')), (9, Some(4)), "{}", *spelled);
        assert!(!spelled.contains(['a', 'e', 'i', 'o', 'u', 'l', '0', '1']), "{}", *spelled);
        let typed = [
            spelled.to_uppercase(),
            spelled.replace('-', " "),
            spelled.replace('-', ""),
            format!("  {} \n", spelled.replace('-', " \u{2013} ")),
        ];
        for text in typed {
            assert_eq!(OneTimeCode::parse(&text), Some(code.clone()), "{text:?}");
        }
    }
}

#[test]
fn what_is_no_code_is_a_password() {
    for text in ["", "bcdf-ghj", "bcdf-ghjkk", "abcd-efgh", "bcdf-ghj1", "bcdf_ghjk", "bcdf-ghjé", "hunter2"]
    {
        assert_eq!(classify(text), SecretKind::Password, "{text:?}");
    }
}

#[test]
fn an_unattended_password_is_checked() {
    let long = "é".repeat(PASSWORD_BYTES_MAX / 2);
    let rows = [
        ("", Some(PasswordError::Empty)),
        (" \t", Some(PasswordError::Empty)),
        ("BCDF ghjk", Some(PasswordError::LooksLikeCode)),
        ("a", None),
        (long.as_str(), None),
        (&format!("{long}!"), Some(PasswordError::TooLong)),
    ];
    for (text, expected) in rows {
        assert_eq!(check_password(text).err(), expected, "{} bytes", text.len());
    }
}

#[test]
fn secrets_do_not_get_into_logs() {
    let secret = check_password("tell nobody").unwrap();
    let code = OneTimeCode::parse("bcdf-ghjk").unwrap();
    let printed = format!("{secret:?} {code:?}");
    assert!(!printed.contains("nobody") && !printed.contains("bcdf"), "{printed}");
}
