//! What is in the kernel, whoever put it there: read from iterators that the loader opens.
//!
//! The loader, which may open them, hands over a descriptor; reading it takes no right, and turning records into
//! messages is done here, where there is none. Iterators are installed when they are first asked for: the image worker
//! compiles them for this kernel, the loader takes what it recognises as its own.

pub mod records;

use crate::limits::INVENTORY_BYTES;
use crate::requests::{Context, protocol};
use ipc::messages::client::ClientReply;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::image::ImageRequest;
use ipc::messages::kernel::Inventory;
use ipc::messages::loader::{LoaderReply, LoaderRequest};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Bytes that are asked for at once: more than the kernel gives at once (eight pages).
const CHUNK: usize = 64 * 1024;

impl Context {
    /// Everything of one kind that is in the kernel.
    pub(crate) async fn inventory(&mut self, of: Inventory) -> Result<ClientReply, Failure> {
        let list = self.read(of).await?;
        let reply = match of {
            Inventory::Programs => records::programs(&list, rustix::param::page_size() as u64)
                .map(ClientReply::KernelPrograms),
            Inventory::Maps => records::maps(&list).map(ClientReply::KernelMaps),
            Inventory::Links => records::links(&list).map(ClientReply::KernelLinks),
        };
        reply.ok_or_else(|| protocol("an iterator that writes other records"))
    }

    /// The failure to find a managed program, unless it is there and somebody else's.
    pub(crate) async fn missing(&mut self, program_id: u32, failure: Failure) -> Failure {
        let is_it = match self.inventory(Inventory::Programs).await {
            Ok(ClientReply::KernelPrograms(programs)) => {
                programs.iter().any(|program| program.id == program_id)
            }
            // Then it cannot be told, and what is known is that bpfman does not manage it.
            _ => false,
        };
        if !is_it {
            return failure;
        }
        Failure::new(
            FailureCode::FailedPrecondition,
            failure.stage,
            format!("program {program_id} exists in kernel but is not managed by bpfman"),
        )
        .remedy("see `bpfmanctl program list --all`; who loaded it can remove it")
    }

    async fn read(&mut self, of: Inventory) -> Result<Vec<u8>, Failure> {
        if let Some(iterator) = self.open_iterator(of).await? {
            return read(&iterator).await;
        }
        self.install_iterators().await?;
        let iterator = self.open_iterator(of).await?;
        read(&iterator.ok_or_else(|| protocol("no iterator after it was installed"))?).await
    }

    async fn open_iterator(&mut self, of: Inventory) -> Result<Option<OwnedFd>, Failure> {
        let session = self.session;
        let answer = self
            .call_loader(&LoaderRequest::OpenIterator { session, of }, &[])
            .await?;
        match answer.message {
            // The permission table demands exactly one descriptor.
            LoaderReply::Iterator => Ok(answer.descriptors.into_iter().next()),
            LoaderReply::NoIterator => Ok(None),
            LoaderReply::Failed(failure) => Err(failure),
            other => Err(protocol(format!("{other:?} from the loader"))),
        }
    }

    async fn install_iterators(&mut self) -> Result<(), Failure> {
        let ticket = self.new_ticket();
        let (image, loader) = (
            self.directory.image().await?,
            self.introduced_loader().await?,
        );
        let session = self.session;
        let install = LoaderRequest::InstallIterators { session, ticket };
        let compile = ImageRequest::CompileIterators { ticket };
        self.join(&loader, &image, ticket, &install, (&compile, &[]))
            .await
            .map(drop)
    }
}

/// All that an iterator tells.
async fn read(iterator: &OwnedFd) -> Result<Vec<u8>, Failure> {
    let mut list = Vec::new();
    loop {
        let start = list.len();
        if start > INVENTORY_BYTES {
            return Err(Failure::new(
                FailureCode::ResourceExhausted,
                Stage::Query,
                format!("the list of what is in the kernel is longer than {INVENTORY_BYTES} bytes"),
            )
            .remedy("use bpftool, which has no such limit"));
        }
        list.resize(start + CHUNK, 0);
        let outcome = rustix::io::read(iterator, &mut list[start..]);
        list.truncate(start + outcome.unwrap_or(0));
        match outcome {
            Ok(0) => return Ok(list),
            // The kernel has looked at as many as it may in one call.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => {
                return Err(Failure::new(
                    FailureCode::Internal,
                    Stage::Query,
                    format!("the list of what is in the kernel cannot be read: {errno}"),
                ));
            }
        }
        // Others have their turn: a list is the kernel's work, which nobody waits for.
        tokio::task::yield_now().await;
    }
}
