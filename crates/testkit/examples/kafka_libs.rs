//! `kafka_libs VERSION`: prints the directory with the jars of this version of Kafka, fetched if need be. For scripts.

fn main() {
    let Some(version) = std::env::args().nth(1) else {
        eprintln!("usage: kafka_libs VERSION");
        std::process::exit(2);
    };
    match walspring_testkit::kafka_libs(&version) {
        Ok(dir) => println!("{}", dir.display()),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
