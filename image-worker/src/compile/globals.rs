//! Values for global variables, written into the contents of data sections.

use super::elf::{Elf, SymbolKind};
use super::error::CompileError;
use aya_obj::Object;
use ipc::limits::GLOBALS;
use ipc::messages::program::GlobalValue;
use std::collections::BTreeSet;

/// Sets each variable to its value.
pub(super) fn set(
    elf: &Elf<'_>,
    object: &mut Object,
    globals: &[GlobalValue],
) -> Result<(), CompileError> {
    if globals.len() > GLOBALS {
        return Err(CompileError::TooManyGlobals);
    }
    for global in globals {
        let variable = variables(elf).find(|symbol| symbol.name == global.name);
        let Some(variable) = variable else {
            let available: BTreeSet<&str> = variables(elf).map(|symbol| symbol.name).collect();
            return Err(CompileError::GlobalNotFound {
                name: global.name.clone(),
                available: available.into_iter().map(str::to_owned).collect(),
            });
        };
        if variable.size != global.bytes.len() as u64 {
            return Err(CompileError::GlobalSize {
                name: global.name.clone(),
                expected: variable.size,
                given: global.bytes.len() as u64,
            });
        }
        let place = object
            .maps
            .values_mut()
            .find(|map| {
                map.symbol_index().is_none() && Some(map.section_index()) == variable.section
            })
            .and_then(|map| {
                let start = usize::try_from(variable.value).ok()?;
                let end = start.checked_add(global.bytes.len())?;
                map.data_mut().get_mut(start..end)
            });
        let place = place.ok_or_else(|| {
            CompileError::Malformed(format!(
                "variable \"{}\" lies outside its section",
                global.name
            ))
        })?;
        place.copy_from_slice(&global.bytes);
    }
    Ok(())
}

fn variables<'e, 'a>(elf: &'e Elf<'a>) -> impl Iterator<Item = &'e super::elf::Symbol<'a>> {
    elf.symbols.iter().filter(|symbol| {
        symbol.kind == SymbolKind::Object
            && !symbol.name.is_empty()
            && symbol
                .section
                .is_some_and(|section| elf.sections[section].role.is_data())
    })
}
