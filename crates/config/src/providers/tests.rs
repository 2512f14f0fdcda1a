use super::*;

fn resolve(worker: &[(&str, &str)], text: &str) -> Result<(String, Vec<Unresolved>), ProviderError> {
    let providers = Providers::from_config(&worker.iter().copied().collect()).unwrap();
    let config: Config = [("option", text)].into_iter().collect();
    let resolved = providers.resolve(&config)?;
    Ok((resolved.get("option").unwrap().to_owned(), resolved.unresolved))
}

#[test]
fn finds_references_as_the_original_does() {
    type Found = &'static [(&'static str, Option<&'static str>, &'static str)];
    let table: &[(&str, Found)] = &[
        ("${file:/a:k}", &[("file", Some("/a"), "k")]),
        ("x${env:A}y${env:B}", &[("env", None, "A"), ("env", None, "B")]),
        ("${file:/a:k:l}", &[("file", Some("/a"), "k:l")]),
        ("${file::k}", &[("file", Some(""), "k")]),
        ("${topic}", &[]),
        ("${a ${env:B}", &[("a ${env", None, "B")]),
        ("${env:A", &[]),
        ("$1 ${name} {x:y}", &[]),
    ];
    for (text, expected) in table {
        let found: Vec<_> = reference::references(text).map(|r| (r.provider, r.path, r.key)).collect();
        assert_eq!(found, *expected, "{text}");
    }
}

#[test]
fn reads_files_directories_and_variables() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    std::fs::write(directory.path().join("s.properties"), "password=p\\u0041ss\nuser = me\n").unwrap();
    std::fs::write(directory.path().join("token"), "abc\n").unwrap();
    let table = [
        (format!("${{file:{path}/s.properties:password}}"), "pAss".to_owned()),
        (format!("${{file:{path}/s.properties:user}}@${{file:{path}/s.properties:password}}"), "me@pAss".to_owned()),
        (format!("${{file:{path}/token}}"), "abc".to_owned()),
        (format!("${{dir:{path}:token}}"), "abc\n".to_owned()),
    ];
    for (text, expected) in &table {
        assert_eq!(resolve(&[], text).unwrap(), (expected.clone(), vec![]), "{text}");
    }
    let home = std::env::var("PATH").unwrap();
    assert_eq!(resolve(&[], "${env:PATH}").unwrap().0, home);
}

#[test]
fn leaves_what_it_cannot_find_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    std::fs::write(directory.path().join("s.properties"), "a=1\n").unwrap();
    for text in [
        format!("${{file:{path}/s.properties:b}}"),
        format!("${{dir:{path}:missing}}"),
        format!("${{dir:{path}:../x}}"),
        "${vault:path:key}".to_owned(),
        "${env:WALSPRING_NO_SUCH_VARIABLE}".to_owned(),
    ] {
        let (value, unresolved) = resolve(&[], &text).unwrap();
        assert_eq!(value, text);
        assert_eq!(unresolved[0].reference, text);
    }
}

/// The original answers 500 with this text.
#[test]
fn fails_for_a_file_that_is_not_there() {
    let error = resolve(&[], "${file:/no/such/file.properties:k}").unwrap_err();
    assert_eq!(error.to_string(), "Could not read properties from file /no/such/file.properties");
}

#[test]
fn keeps_to_allowed_paths() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    std::fs::create_dir(directory.path().join("in")).unwrap();
    for file in ["in/s", "s"] {
        std::fs::write(directory.path().join(file), "k=v\n").unwrap();
    }
    let allowed = format!("{path}/in");
    let worker = [
        ("config.providers", "f"),
        ("config.providers.f.class", FILE_PROVIDER_CLASS),
        ("config.providers.f.param.allowed.paths", &allowed),
    ];
    assert_eq!(resolve(&worker, &format!("${{f:{path}/in/s:k}}")).unwrap().0, "v");
    for outside in [format!("${{f:{path}/s:k}}"), format!("${{f:{path}/in/../s:k}}")] {
        assert_eq!(resolve(&worker, &outside).unwrap().0, outside);
    }
    for (wrong, why) in [("relative", "is not absolute"), ("/no/such/place", "does not exist")] {
        let worker = [worker[0], worker[1], (worker[2].0, wrong)];
        let error = Providers::from_config(&worker.into_iter().collect()).unwrap_err();
        assert!(error.to_string().ends_with(why), "{error}");
    }
}

#[test]
fn allows_only_the_variables_that_match() {
    let variables = [("DB_USER", "me"), ("OTHER", "x")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let parameters: Config = [("allowlist.pattern", "^DB_.*")].into_iter().collect();
    let provider = EnvVarConfigProvider::with_variables(&parameters, variables).unwrap();
    assert!(matches!(provider.look_up(None, "DB_USER"), Lookup::Found(value) if value.expose() == "me"));
    assert!(matches!(provider.look_up(None, "OTHER"), Lookup::Left(_)));
}

#[test]
fn refuses_a_class_it_does_not_have() {
    let worker = [("config.providers", "a,b"), ("config.providers.a.class", "io.strimzi.kafka.X")];
    let errors = Providers::from_config(&worker.into_iter().collect()).unwrap_err();
    assert_eq!(errors.0.len(), 2);
    assert!(errors.to_string().contains("Class io.strimzi.kafka.X could not be found."), "{errors}");
    assert!(errors.to_string().contains("Missing required configuration \"config.providers.b.class\""), "{errors}");
}

#[test]
fn shows_nothing_of_what_it_resolved() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("s");
    std::fs::write(&file, "hunter2").unwrap();
    let config: Config = [("password", format!("${{file:{}}}", file.display()))].into_iter().collect();
    let resolved = Providers::preconfigured().resolve(&config).unwrap();
    assert_eq!(resolved.get("password"), Some("hunter2"));
    assert!(resolved.is_secret("password"));
    assert!(!format!("{resolved:?} {:?}", Secret::from("hunter2")).contains("hunter2"));
    assert_eq!(resolved.redact("login hunter2 failed"), "login [hidden] failed");
}
