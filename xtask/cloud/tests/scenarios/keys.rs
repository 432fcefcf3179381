//! API keys on their way to an edge whose store does not take them.

use reqwest::StatusCode;
use streamio_cloud::cloud::NewKey;

use crate::clip::film;
use crate::play::play;
use crate::verdict::verdict;
use crate::world::World;

async fn asked_with(world: &World, key: &NewKey) -> StatusCode {
    let request = world.http.get(format!("{}/videos", world.cloud.api()));
    request.header("x-api-key", key.api_key.reveal()).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_to_the_edge_although_its_store_refuses_at_first() {
    let world = World::start().await;
    world.cloud.kv().refuse(4);
    let key = world.cloud.create_project("other").await.unwrap();
    assert_eq!(asked_with(&world, &key).await, StatusCode::OK);
    verdict(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_the_edges_store_refuses_holds_up_no_video_and_comes() {
    let world = World::start().await;
    let key = world.cloud.create_project("other").await.unwrap();
    assert_eq!(asked_with(&world, &key).await, StatusCode::OK);
    world.cloud.kv().refuse(usize::MAX);
    world.cloud.revoke_key(&key).await.unwrap();
    let video_id = world.upload("clip.mp4", film()).await;
    let status = world.ready(&video_id, 1).await;
    play(&world, &status).await;
    assert!(world.cloud.kv().refused() > 0);
    world.cloud.kv().refuse(0);
    world
        .until("the revoked key is refused", async || {
            asked_with(&world, &key).await == StatusCode::UNAUTHORIZED
        })
        .await;
    verdict(world).await;
}
