//! Glance v2: images, their bytes and their formats.
//!
//! An image's row is in the store, its bytes are one file. The order is always: bytes durable under their name, then the
//! row; so an active image has its bytes, and bytes without a row are rubbish that the next start removes. The format is
//! what the image declares; `imagefmt` holds the bytes against it while they come, and from then on it is fixed. Nothing
//! here guesses a format, follows a reference inside an image, or makes a file name of a user's text.
//!
//! Snapshots come from hosts through [`Source`]: their row is made in the flow's first unit
//! (`store::image::insert` of [`model::image::Image::snapshot`]) and made active in its last (`store::image::activate`
//! with what [`Images::written`] recorded beside the bytes), so an upload that is repeated after a crash does no harm.

mod change;
mod error;
mod files;
mod http;
mod members;
mod options;
mod recover;
mod source;
mod upload;
mod write;

pub use change::Draft;
pub use error::{Error, Result};
pub use http::{NOT_BUILT, route_infos, router, routes};
pub use options::Options;
pub use recover::{Finding, Recovered};
pub use source::Source;

use driver_api::{ImageRef, ImageStream};
use files::Files;
use model::image::{Image, MemberFilter, MemberStatus, Query, Status, Written};
use model::{Context, Env};
use std::path::PathBuf;
use std::sync::Arc;
use store::Store;
use uuid::Uuid;

/// The image service. Cheap to clone.
#[derive(Clone)]
pub struct Images(Arc<Inner>);

struct Inner {
    store: Store,
    env: Env,
    options: Options,
    files: Files,
    /// Held while a snapshot's bytes and their record change, so that the one always describes the other.
    keeping: tokio::sync::Mutex<()>,
}

impl Images {
    /// The service over `store` with its bytes under `options.dir`, which is made if it is not there. Call
    /// [`Images::recover`] once before serving.
    /// # Errors
    /// `Disk`.
    pub fn new(store: Store, env: Env, options: Options) -> Result<Images> {
        let files = Files::open(&options.dir, options.inline)?;
        Ok(Images(Arc::new(Inner { store, env, options, files, keeping: tokio::sync::Mutex::new(()) })))
    }
    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }
    pub(crate) fn env(&self) -> &Env {
        &self.0.env
    }
    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }
    pub(crate) fn files(&self) -> &Files {
        &self.0.files
    }

    /// The image, if the caller may know of it.
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, caller: &Context, id: Uuid) -> Result<Image> {
        let caller = caller.clone();
        self.0.store.read(move |tx| visible(tx, &caller, id)).await.map_err(Error::from_unit)
    }
    /// The same within somebody's unit, beside what else it reads.
    /// # Errors
    /// The database's; the image's own refusals are the answer.
    pub fn find_in(tx: &mut store::Tx, caller: &Context, id: Uuid) -> store::Result<Result<Image>> {
        match visible(tx, caller, id).map_err(Error::from_unit) {
            Err(Error::Store(e)) => Err(e),
            answer => Ok(answer),
        }
    }
    /// The view of the caller as a list has it by default: to be narrowed and given to [`Images::list`].
    pub fn view(&self, caller: &Context) -> Query {
        Query {
            viewer: (!caller.is_admin()).then(|| caller.project_id().to_owned()),
            project: caller.project_id().to_owned(),
            visibility: None,
            member: MemberFilter::Status(MemberStatus::Accepted),
            hidden: false,
            filters: Vec::new(),
            sort: Vec::new(),
            marker: None,
            limit: self.0.options.default_page,
        }
    }
    /// A page of images.
    /// # Errors
    /// `Invalid` if the marker is no image of the caller's view.
    pub async fn list(&self, caller: &Context, query: Query) -> Result<Vec<Image>> {
        let caller = caller.clone();
        let run = move |tx: &mut store::Tx| {
            if let Some(marker) = query.marker {
                visible(tx, &caller, marker).map_err(|e| match Error::from_unit(e) {
                    Error::NotFound(message) => store::Error::abort(Error::Invalid(message)),
                    other => store::Error::abort(other),
                })?;
            }
            store::image::list(tx, &query)
        };
        self.0.store.read(run).await.map_err(Error::from_unit)
    }
    /// The image as a driver needs to know it.
    /// # Errors
    /// `Conflict` if it is not active.
    pub fn reference(image: &Image) -> Result<ImageRef> {
        image
            .reference()
            .filter(|_| image.status == Status::Active)
            .ok_or_else(|| Error::Conflict(format!("Image {} is not active.", image.id)))
    }
    /// Makes an image without bytes.
    /// # Errors
    /// `Forbidden` for what needs an administrator, `Invalid`, `TooLarge` for quotas, `Conflict` if the id is taken.
    pub async fn create(&self, caller: &Context, draft: Draft) -> Result<Image> {
        let image = draft.into_image(caller, &self.0.env, &self.0.options)?;
        let made = image.clone();
        self.0.store.write(move |tx| store::image::insert(tx, &made)).await.map_err(Error::from_unit)?;
        Ok(image)
    }
    /// Removes an image and its bytes. Who reads them at the moment reads on to the end.
    /// # Errors
    /// `NotFound`; `Forbidden` for others' images and protected ones.
    pub async fn delete(&self, caller: &Context, id: Uuid) -> Result<()> {
        let (who, now) = (caller.clone(), self.0.env.now());
        let run = move |tx: &mut store::Tx| {
            let image = modifiable(tx, &who, id, "delete_image")?;
            if image.protected || !store::image::delete(tx, id, now)? {
                return Err(store::Error::abort(Error::Forbidden(format!(
                    "Image {id} is protected and cannot be deleted."
                ))));
            }
            Ok(())
        };
        self.0.store.write(run).await.map_err(Error::from_unit)?;
        self.discard(id).await
    }

    /// Opens the bytes of an active image, for a host.
    /// # Errors
    /// `NotFound` if there is no such image or it is not active.
    pub async fn open(&self, id: Uuid) -> Result<ImageStream> {
        let image = self.0.store.read(move |tx| store::image::find(tx, id)).await?;
        let image = image.filter(|i| i.status == Status::Active).ok_or_else(|| Error::no_image(id))?;
        let format = image.disk_format.ok_or_else(|| Error::no_image(id))?;
        if self.0.files.inline() {
            return self.whole(id, format);
        }
        let (file, size, path) = self.data(id).await?;
        Ok(ImageStream { format, size, reader: Box::pin(file), local: Some(path) })
    }
    /// The bytes as they are, read at once: a file that is read piece by piece is read by other threads.
    fn whole(&self, id: Uuid, format: driver_api::DiskFormat) -> Result<ImageStream> {
        let path = self.0.files.data(id);
        let bytes = std::fs::read(&path).map_err(Error::disk("reading an image's bytes"))?;
        let size = bytes.len() as u64;
        Ok(ImageStream { format, size, reader: Box::pin(std::io::Cursor::new(bytes)), local: Some(path) })
    }
    /// File, size and path of an image's bytes.
    pub(crate) async fn data(&self, id: Uuid) -> Result<(tokio::fs::File, u64, PathBuf)> {
        let path = self.0.files.data(id);
        let (file, size) = self.0.files.blocking(move |files| {
            let file = std::fs::File::open(files.data(id)).map_err(Error::disk("opening an image's bytes"))?;
            let size = file.metadata().map_err(Error::disk("opening an image's bytes"))?.len();
            Ok((file, size))
        })
        .await?;
        Ok((tokio::fs::File::from_std(file), size, path))
    }
    /// What a snapshot's bytes are, once all of them are on the disk; for the unit that ends its flow.
    /// # Errors
    /// `Disk`.
    pub async fn written(&self, id: Uuid) -> Result<Option<Written>> {
        self.0.files.blocking(move |files| files.read_record(id)).await
    }
    /// After the unit that ended a snapshot's flow: removes the record beside the bytes, and the bytes too if the image
    /// was deleted meanwhile. Without this call the next start does it.
    /// # Errors
    /// `Disk`, `Store`.
    pub async fn settle(&self, id: Uuid) -> Result<()> {
        let image = self.0.store.read(move |tx| store::image::find(tx, id)).await?;
        match image {
            None => self.discard(id).await,
            Some(i) if i.status.has_data() => self.0.files.blocking(move |files| files.forget_record(id)).await,
            Some(_) => Ok(()),
        }
    }
    /// Removes an image's bytes, and not its row: the undo of a snapshot's upload. The absent is no error.
    /// # Errors
    /// `Disk`.
    pub async fn discard(&self, id: Uuid) -> Result<()> {
        let _keeping = self.0.keeping.lock().await;
        self.0.files.blocking(move |files| files.remove(id)).await
    }
    /// The service as a host sees it.
    pub fn source(&self) -> Source {
        Source::new(self.clone())
    }
}

/// The image, if the caller may know of it; for units.
pub(crate) fn visible(tx: &mut store::Tx, caller: &Context, id: Uuid) -> store::Result<Image> {
    let none = || store::Error::abort(Error::no_image(id));
    let image = store::image::find(tx, id)?.ok_or_else(none)?;
    if image.visible_to(caller, false) {
        return Ok(image);
    }
    let project = caller.project_id();
    let member = !project.is_empty() && store::image::is_member(tx, id, project)?;
    if image.visible_to(caller, member) { Ok(image) } else { Err(none()) }
}

/// The image, if the caller may change it; `policy` is Glance's name for the change.
pub(crate) fn modifiable(tx: &mut store::Tx, caller: &Context, id: Uuid, policy: &str) -> store::Result<Image> {
    let image = visible(tx, caller, id)?;
    if caller.is_admin() || (image.owned_by(caller) && caller.has("member")) {
        Ok(image)
    } else {
        Err(store::Error::abort(Error::denied(policy)))
    }
}
