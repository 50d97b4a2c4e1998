//! `cox image`: what is in the node's image store.

use anyhow::{Result, bail};
use cox_runtime::ImageStore;

use crate::cli::{Image, ImageAction};
use crate::output;

/// Does what was asked.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Image) -> Result<()> {
    let folder = options.data_dir.join("node").join("images");
    // Looking makes nothing; an image may be loaded before the cluster's first start.
    if matches!(options.action, ImageAction::List) && !folder.exists() {
        bail!(
            "{} has no images; load one with `cox image load FILE`, or give the cluster's folder with --data-dir",
            options.data_dir.display()
        );
    }
    let store = ImageStore::open(&folder)?;
    match options.action {
        ImageAction::Load { file } => {
            for image in store.load(&file)? {
                let name = image.repo_tags.first().cloned().unwrap_or_else(|| "<none>".to_owned());
                output::line(&format!("loaded {name} ({}, {})", image.id, size(image.size)))?;
            }
        }
        ImageAction::List => {
            let images = store.list()?;
            let rows: Vec<(String, String, String)> = images
                .iter()
                .flat_map(|image| {
                    let names =
                        if image.repo_tags.is_empty() { vec!["<none>".to_owned()] } else { image.repo_tags.clone() };
                    names.into_iter().map(|name| (name, image.id.chars().skip(7).take(12).collect(), size(image.size)))
                })
                .collect();
            let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0).max("IMAGE".len());
            let mut table = format!("{:width$}  {:12}  SIZE\n", "IMAGE", "ID");
            for (name, id, size) in rows {
                table.push_str(&format!("{name:width$}  {id:12}  {size}\n"));
            }
            output::print(&table)?;
        }
    }
    Ok(())
}

fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{bytes} {name}") } else { format!("{value:.1} {name}") }
}
