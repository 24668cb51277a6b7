//! Projects that a shared image is shared with.

use crate::error::{Error, Result};
use crate::{Images, visible};
use model::Context;
use model::image::{Image, Member, MemberStatus, Visibility};
use uuid::Uuid;

/// A shared image that the caller sees (`_lookup_image`, `_check_visibility_and_ownership`).
fn shared(tx: &mut store::Tx, caller: &Context, id: Uuid, refusal: fn(Uuid) -> String) -> store::Result<Image> {
    let image = visible(tx, caller, id).map_err(|e| match Error::from_unit(e) {
        Error::NotFound(_) => store::Error::abort(Error::NotFound(format!("Image {id} not found."))),
        other => store::Error::abort(other),
    })?;
    if image.visibility != Visibility::Shared {
        return Err(store::Error::abort(Error::Forbidden(refusal(id))));
    }
    Ok(image)
}

fn owner(caller: &Context, image: &Image) -> bool {
    caller.is_admin() || (image.owned_by(caller) && caller.has("member"))
}

fn no_member(image: Uuid, member: &str) -> store::Error {
    store::Error::abort(Error::NotFound(format!("{member} not found in the member list of the image {image}.")))
}

/// The membership, if the caller may see it: the owner sees all, a member its own.
fn lookup(tx: &mut store::Tx, caller: &Context, image: &Image, member: &str) -> store::Result<Member> {
    if !caller.is_admin() && !image.owned_by(caller) && caller.project_id() != member {
        return Err(no_member(image.id, member));
    }
    store::image::get_member(tx, image.id, member)?.ok_or_else(|| no_member(image.id, member))
}

impl Images {
    /// Shares the image with a project, whose answer is pending.
    /// # Errors
    /// `NotFound`; `Forbidden` unless the image is shared and the caller's; `Conflict` if it is a member; `TooLarge`.
    pub async fn add_member(&self, caller: &Context, id: Uuid, member: String) -> Result<Member> {
        let (caller, now, max) = (caller.clone(), self.env().now(), self.options().max_members);
        let refusal = |id| format!("Not allowed to create members for image {id}.");
        let run = move |tx: &mut store::Tx| {
            let image = shared(tx, &caller, id, refusal)?;
            if !owner(&caller, &image) {
                return Err(store::Error::abort(Error::Forbidden(refusal(id))));
            }
            let attempted = store::image::count_members(tx, id)? + 1;
            if attempted > max {
                return Err(store::Error::abort(Error::TooLarge(format!(
                    "Image member limit exceeded for image {id}: The limit has been exceeded on the number of allowed \
                     image members for this image. Attempted: {attempted}, Maximum: {max}:"
                ))));
            }
            let made = Member {
                image_id: id,
                member: member.clone(),
                status: MemberStatus::Pending,
                created_at: now,
                updated_at: now,
            };
            if !store::image::add_member(tx, &made)? {
                return Err(store::Error::abort(Error::Conflict(format!(
                    "Member {member} is duplicated for image {id}"
                ))));
            }
            Ok(made)
        };
        self.store().write(run).await.map_err(Error::from_unit)
    }
    /// The image's members that the caller may see.
    /// # Errors
    /// `NotFound`; `Forbidden` if it is not shared.
    pub async fn members(&self, caller: &Context, id: Uuid) -> Result<Vec<Member>> {
        let caller = caller.clone();
        let run = move |tx: &mut store::Tx| {
            let image = shared(tx, &caller, id, |id| {
                format!("Not allowed to list members for image {id}: Only shared images have members.")
            })?;
            let mut all = store::image::members(tx, id)?;
            if !caller.is_admin() && !image.owned_by(&caller) {
                all.retain(|m| m.member == caller.project_id());
            }
            Ok(all)
        };
        self.store().read(run).await.map_err(Error::from_unit)
    }
    /// One member.
    /// # Errors
    /// `NotFound`, also where the caller may not know.
    pub async fn member(&self, caller: &Context, id: Uuid, member: String) -> Result<Member> {
        let caller = caller.clone();
        let run = move |tx: &mut store::Tx| {
            let image = shared(tx, &caller, id, |_| "Only shared images have members.".into())?;
            lookup(tx, &caller, &image, &member)
        };
        self.store().read(run).await.map_err(Error::from_unit).map_err(|e| match e {
            Error::Forbidden(message) => Error::NotFound(message),
            other => other,
        })
    }
    /// What the member says to the image: only the member itself may.
    /// # Errors
    /// `NotFound`; `Forbidden` for the owner.
    pub async fn set_member_status(
        &self,
        caller: &Context,
        id: Uuid,
        member: String,
        status: MemberStatus,
    ) -> Result<Member> {
        let (caller, now) = (caller.clone(), self.env().now());
        let refusal = |id| format!("Not allowed to update members for image {id}.");
        let run = move |tx: &mut store::Tx| {
            let image = shared(tx, &caller, id, refusal)?;
            let mut found = lookup(tx, &caller, &image, &member)?;
            if !caller.is_admin() && caller.project_id() != member {
                return Err(store::Error::abort(Error::Forbidden(refusal(id))));
            }
            if !store::image::set_member_status(tx, id, &member, status, now)? {
                return Err(no_member(id, &member));
            }
            (found.status, found.updated_at) = (status, now);
            Ok(found)
        };
        self.store().write(run).await.map_err(Error::from_unit)
    }
    /// Takes the image from the project.
    /// # Errors
    /// `NotFound`; `Forbidden` unless the image is shared and the caller's.
    pub async fn remove_member(&self, caller: &Context, id: Uuid, member: String) -> Result<()> {
        let caller = caller.clone();
        let refusal = |id| format!("Not allowed to delete members for image {id}.");
        let run = move |tx: &mut store::Tx| {
            let image = shared(tx, &caller, id, refusal)?;
            if !owner(&caller, &image) {
                return Err(store::Error::abort(Error::Forbidden(refusal(id))));
            }
            if store::image::remove_member(tx, id, &member)? { Ok(()) } else { Err(no_member(id, &member)) }
        };
        self.store().write(run).await.map_err(Error::from_unit)
    }
}
