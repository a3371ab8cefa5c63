//! Programs of others that a bench runs: whether they are there, and the package they come with. Owns nothing.

use super::super::Failure;

/// Finds a program on the search path; else says which Debian package has it.
pub(in crate::cli) fn check(program: &str, package: &str) -> Result<(), Failure> {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    if found {
        return Ok(());
    }
    Err(format!("{program} is needed and not there: apt-get install {package}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        check("sh", "dash").unwrap();
        let error = check("no-such-program", "some-package").unwrap_err().to_string();
        assert!(error.contains("no-such-program") && error.contains("some-package"), "{error}");
    }
}
