//! The feed of events.

use serde_json::{Value, json};

use crate::session::{Call, Session};

fn events<'a>(session: &'a Session<'_>, query: &str) -> Call<'a> {
    session.get(&format!("/events{query}")).key(&session.keys().feeds)
}

fn types(page: &Value) -> Vec<String> {
    let data = page["data"].as_array().unwrap();
    data.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

pub(crate) async fn read_to_the_end_and_continued(session: &Session<'_>) {
    let mut received = Vec::new();
    let mut query = "?limit=3".to_owned();
    let end = loop {
        let page = events(session, &query).send().await.expect(200).json();
        received.extend(types(&page));
        let position = page["position"].as_str().unwrap().to_owned();
        match page["nextCursor"].as_str() {
            Some(next) => {
                assert_eq!((types(&page).len(), next), (3, position.as_str()));
                query = format!("?limit=3&after={next}");
            }
            None => break position,
        }
    };
    let nothing = events(session, &format!("?after={end}")).send().await.expect(200).json();
    assert_eq!(nothing, json!({ "data": [], "nextCursor": null, "position": end }));
    assert_eq!(&received[..2], ["project.created", "key.created"]);
    assert_eq!(received.len(), 2 + 6 + 6, "{received:?}");
    let whole = events(session, "?limit=100").send().await.expect(200).json();
    assert_eq!(types(&whole), received);

    // Grants are added to the feed with every journal.
    let keys = session.keys();
    let upload = session.post("/upload-url").key(&keys.feeds).header("idempotency-key", "news-1");
    let upload = upload.json(&json!({ "filename": "news.mp4" })).send().await.expect(200);
    let news = events(session, &format!("?after={end}")).until(|page| types(&page.json()).len() == 1).await;
    assert_eq!(types(&news.json()), ["upload.granted"]);
    assert_eq!(news.text("/data/0/data/grantId"), upload.text("/grantId"));
    let cursor = news.text("/position");
    let playback = session.post("/playback-url?key=processed/feeds/films/ready.mp4").key(&keys.feeds);
    let playback = playback.header("idempotency-key", "news-2").send().await.expect(200);
    let news =
        events(session, &format!("?after={cursor}")).until(|page| types(&page.json()).len() == 1).await;
    assert_eq!(types(&news.json()), ["playback.granted"]);
    assert_eq!(news.text("/data/0/data/grantId"), playback.text("/grantId"));

    for refused in ["?after=nonsense", "?after=1", "?after=-1.0", "?limit=0", "?after="] {
        events(session, refused).send().await.expect_problem(400, "invalid-parameter");
    }
    events(session, "?after=999999999.0").send().await.expect(200);
}
