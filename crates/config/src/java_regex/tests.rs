use super::*;

fn matches(pattern: &str, text: &str) -> bool {
    JavaRegex::new(pattern).unwrap().matches(text).unwrap()
}

/// Each row was answered by Java 17: pattern, text, whether `matches` holds.
#[test]
fn means_what_java_means() {
    let table: &[(&str, &str, bool)] = &[
        ("public\\.t", "public.t", true),
        ("public.t", "public_t", true),
        ("a|ab", "ab", true),
        ("[a-z&&[^b]]", "b", false),
        ("[a-z&&[^b]]", "c", true),
        ("[a-d&&b-e&&c]", "c", true),
        ("[]a]", "]", true),
        ("[^a]", "é", true),
        ("\\p{Alnum}+", "aZ9", true),
        ("\\p{Alnum}+", "é", false),
        ("\\p{L}+", "é", true),
        ("\\P{L}", "1", true),
        ("\\w", "é", false),
        ("\\d", "٣", false),
        (".", "\u{85}", false),
        ("(?s).", "\n", true),
        ("a++b", "aab", true),
        ("a++a", "aaa", false),
        ("(?>a|ab)c", "abc", false),
        ("(a)\\1", "aa", true),
        ("(?<n>a)\\k<n>", "aa", true),
        ("(?=a)a", "a", true),
        ("(?<!x)a", "a", true),
        ("(?!a).*", "ab", false),
        ("^a$", "a", true),
        ("^a$\n", "a\n", true),
        ("a\\Z", "a", true),
        ("\\Qa.b\\E", "a.b", true),
        ("\\Qa.b\\E", "axb", false),
        ("\\x41\\u0042\\x{43}\\0104", "ABCD", true),
        ("\\cA", "\u{1}", true),
        ("a{2,3}", "aaa", true),
        ("a{2,3}?", "aaaa", false),
        ("(?i)a(?-i)b", "Ab", true),
        ("(?i)a(?-i)b", "AB", false),
        ("(?i:a|É)", "é", false),
        ("[\\d-z]", "-", true),
        ("[a-[b]]", "-", true),
        ("x*", "", true),
        ("\\h\\v", "\u{a0}\u{b}", true),
        ("\\R", "\r\n", true),
        ("a]}", "a]}", true),
        ("\\-\\_\\é", "-_é", true),
        ("[[:alpha:]]", "p", true),
        ("", "", true),
        ("a||b", "", true),
    ];
    for (pattern, text, expected) in table {
        assert_eq!(matches(pattern, text), *expected, "{pattern:?} on {text:?}");
    }
}

#[test]
fn ignores_the_case_of_ascii_letters_only() {
    let list = RegexList::parse("Public\\.T[a-c], ÄB ,, s\\,t").unwrap();
    for (name, expected) in [("pUBLIC.tB", true), ("Äb", true), ("äb", false), ("S,T", true), ("public.tb2", false)] {
        assert_eq!(list.matches(name).unwrap(), expected, "{name}");
    }
    assert_eq!(list.len(), 3);
    assert!(RegexList::parse(" , ").unwrap().is_empty());
}

/// As recorded from the original's validation: Java's words, index and mark.
#[test]
fn describes_errors_as_java_does() {
    let table: &[(&str, &str)] = &[
        ("(", "Unclosed group near index 1\n("),
        ("(a", "Unclosed group near index 2\n(a"),
        ("(?:", "Unclosed group near index 3\n(?:"),
        ("[a", "Unclosed character class near index 1\n[a\n ^"),
        ("[]", "Unclosed character class near index 1\n[]\n ^"),
        ("[^]", "Unclosed character class near index 2\n[^]\n  ^"),
        ("[a&&", "Unclosed character class near index 3\n[a&&\n   ^"),
        ("*a", "Dangling meta character '*' near index 0\n*a\n^"),
        ("a**", "Dangling meta character '*' near index 2\na**\n  ^"),
        ("a|*", "Dangling meta character '*' near index 2\na|*\n  ^"),
        ("a???", "Dangling meta character '?' near index 3\na???\n   ^"),
        ("a{1}?+", "Dangling meta character '+' near index 5\na{1}?+\n     ^"),
        ("{", "Illegal repetition near index 1\n{"),
        ("a{", "Illegal repetition near index 2\na{"),
        ("a{x}", "Illegal repetition near index 2\na{x}\n  ^"),
        ("a{2", "Unclosed counted closure near index 3\na{2"),
        ("x{99999999999}", "Illegal repetition range near index 11\nx{99999999999}\n           ^"),
        ("\\p{Foo}", "Unknown character property name {Foo} near index 6\n\\p{Foo}\n      ^"),
        ("\\pX", "Unknown character property name {X} near index 2\n\\pX\n  ^"),
        ("\\p{L", "Unclosed character family near index 4\n\\p{L"),
        ("a)", "Unmatched closing ')' near index 0\na)\n^"),
        ("(?<n>a)\\k<m>", "named capturing group <m> does not exist near index 11\n(?<n>a)\\k<m>\n           ^"),
        ("(?<a>x)(?<a>y)", "Named capturing group <a> is already defined near index 11\n(?<a>x)(?<a>y)\n           ^"),
        ("(?<1a>x)", "capturing group name does not start with a Latin letter near index 3\n(?<1a>x)\n   ^"),
        ("(?<a", "named capturing group is missing trailing '>' near index 4\n(?<a"),
        ("[b-a]", "Illegal character range near index 3\n[b-a]\n   ^"),
        ("[a-\\d]", "Illegal character range near index 4\n[a-\\d]\n    ^"),
        ("[a-", "Illegal character range near index 3\n[a-"),
        ("(?z)a", "Unknown inline modifier near index 2\n(?z)a\n  ^"),
        ("(?", "Unknown inline modifier near index 2\n(?"),
        ("(?i", "Unknown inline modifier near index 3\n(?i"),
        ("(?P<a>x)", "Unknown inline modifier near index 2\n(?P<a>x)\n  ^"),
        ("\\y", "Illegal/unsupported escape sequence near index 1\n\\y\n ^"),
        ("\\E", "Illegal/unsupported escape sequence near index 1\n\\E\n ^"),
        ("\\x1", "Illegal hexadecimal escape sequence near index 3\n\\x1"),
        ("\\u12", "Illegal Unicode escape sequence near index 4\n\\u12"),
        ("\\08", "Illegal octal escape sequence near index 2\n\\08\n  ^"),
        ("\\c", "Illegal control escape sequence near index 1\n\\c\n ^"),
        ("\\ka", "\\k is not followed by '<' for named capturing group near index 2\n\\ka\n  ^"),
    ];
    for (pattern, expected) in table {
        let error = JavaRegex::new(pattern).expect_err(pattern);
        assert_eq!(error.to_string(), *expected);
        assert!(!error.is_unsupported());
    }
}

#[test]
fn refuses_what_it_cannot_say() {
    for pattern in [
        "\\Ga",
        "\\X",
        "\\b{g}",
        "(?m)^a",
        "(?x) a",
        "(?i)(a)\\1",
        "\\p{javaLowerCase}",
        "\\p{InGreek}",
        "\\1",
        "a{5000}",
    ] {
        let error = JavaRegex::new(pattern).expect_err(pattern);
        assert!(error.is_unsupported(), "{error}");
        assert!(error.to_string().contains("is not supported by this version of Walspring"), "{error}");
    }
}

#[test]
fn replaces_as_java_does() {
    let table: &[(&str, &str, &str, &str)] = &[
        ("(.*)\\.(.*)", "$2-$1", "a.b", "b-a"),
        ("(?<left>.*)\\.(.*)", "${left}", "a.b", "a"),
        ("(a)", "$12", "a", "a2"),
        ("a", "\\$1\\\\", "a", "$1\\"),
        ("a|ab", "x", "ab", "xb"),
        ("(a)|(b)", "[$1$2]", "b", "[b]"),
        ("c", "x", "ab", "ab"),
    ];
    for (pattern, replacement, text, expected) in table {
        let regex = JavaRegex::new(pattern).unwrap();
        let replacement = Replacement::new(replacement, &regex).unwrap();
        assert_eq!(regex.replace_first(text, &replacement).unwrap(), *expected, "{pattern}");
    }
    let regex = JavaRegex::new("a").unwrap();
    assert_eq!(regex.replace_all("banana", &Replacement::new("o", &regex).unwrap()).unwrap(), "bonono");
    let errors = [
        ("$", "Illegal group reference: group index is missing"),
        ("$x", "Illegal group reference"),
        ("$1", "No group 1"),
        ("${n}", "No group with name {n}"),
        ("a\\", "character to be escaped is missing"),
    ];
    for (replacement, expected) in errors {
        assert_eq!(Replacement::new(replacement, &regex).unwrap_err().to_string(), expected);
    }
}

#[test]
fn gives_up_on_an_expression_that_explodes() {
    let regex = JavaRegex::new("(?:(?=a)a*)*b\\b").unwrap();
    let _ = regex.matches(&"a".repeat(200)); // an error or an answer, in bounded time
}
