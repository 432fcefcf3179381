//! Processes on this machine, as listed in `/proc`.

/// Command lines of all other processes whose command line or environment contains `text`.
pub(crate) fn mentioning(text: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    ids.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()) && *id != own)
        .filter_map(|id| {
            let read = |file: &str| std::fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
            let text_of = |file: &str| String::from_utf8_lossy(&read(file)).replace('\0', " ");
            let (command_line, environment) = (text_of("cmdline"), text_of("environ"));
            (command_line.contains(text) || environment.contains(text)).then_some(command_line)
        })
        // A zombie has no command line.
        .filter(|command_line| !command_line.trim().is_empty())
        .collect()
}
