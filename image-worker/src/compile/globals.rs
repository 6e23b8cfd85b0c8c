//! Values for global variables, written into the contents of data sections.

use super::btf::Btf;
use super::elf::{Elf, SymbolKind};
use super::error::CompileError;
use super::{Request, global_types};
use aya_obj::Object;
use ipc::limits::GLOBALS;
use std::collections::BTreeSet;

/// Sets each variable to its value.
pub(super) fn set(
    elf: &Elf<'_>,
    btf: Option<&Btf<'_>>,
    object: &mut Object,
    request: &Request<'_>,
) -> Result<(), CompileError> {
    let globals = request.globals;
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
        let typed = request.types.iter().find(|typed| typed.name == global.name);
        let bytes = match typed {
            Some(typed) => global_types::bytes(btf, global, typed.given_as, variable.size)?,
            None => global.bytes.clone(),
        };
        if variable.size != bytes.len() as u64 {
            return Err(CompileError::GlobalSize {
                name: global.name.clone(),
                expected: variable.size,
                given: bytes.len() as u64,
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
                let end = start.checked_add(bytes.len())?;
                map.data_mut().get_mut(start..end)
            });
        let place = place.ok_or_else(|| {
            CompileError::Malformed(format!(
                "variable \"{}\" lies outside its section",
                global.name
            ))
        })?;
        place.copy_from_slice(&bytes);
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
