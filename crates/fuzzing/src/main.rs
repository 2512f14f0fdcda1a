//! `walspring-fuzzing DIR` writes the seeds, a directory a target; `walspring-fuzzing TARGET FILE…` runs a target on files.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [dir] => {
            for target in walspring_fuzzing::TARGETS {
                let dir = Path::new(dir).join(target.name);
                std::fs::create_dir_all(&dir)?;
                for (n, seed) in (target.seeds)().iter().enumerate() {
                    std::fs::write(dir.join(format!("seed-{n}")), seed)?;
                }
            }
        }
        [target, files @ ..] if !files.is_empty() => {
            for file in files {
                (walspring_fuzzing::target(target).run)(&std::fs::read(file)?);
            }
        }
        _ => eprintln!("walspring-fuzzing DIR, or TARGET FILE…"),
    }
    Ok(())
}
