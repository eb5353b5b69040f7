//! Pages with gaps: `{{name}}` is filled with text, which means nothing to a browser.

/// `template` with each `{{name}}` filled.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |page, (name, value)| {
        page.replace(&format!("{{{{{name}}}}}"), &escaped(value))
    })
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A value is never a gap.
            '{' => out.push_str("&#123;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_and_nothing_else() {
        let page = fill("<b>{{a}}</b>{{b}}", &[("a", "<i>\"{{b}}"), ("b", "&")]);
        assert_eq!(page, "<b>&lt;i&gt;&quot;&#123;&#123;b}}</b>&amp;");
    }
}
