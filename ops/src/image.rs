//! `cox image`: what is in the node's image store.

use anyhow::Result;
use cox_runtime::ImageStore;

use crate::cli::{Image, ImageAction};

/// Does what was asked.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Image) -> Result<()> {
    let store = ImageStore::open(&options.data_dir.join("node").join("images"))?;
    match options.action {
        ImageAction::Load { file } => {
            for image in store.load(&file)? {
                let name = image.repo_tags.first().cloned().unwrap_or_else(|| "<none>".to_owned());
                println!("loaded {name} ({}, {})", image.id, size(image.size));
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
            println!("{:width$}  {:12}  SIZE", "IMAGE", "ID");
            for (name, id, size) in rows {
                println!("{name:width$}  {id:12}  {size}");
            }
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
