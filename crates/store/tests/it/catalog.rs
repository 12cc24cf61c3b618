//! The catalog: finding sessions and exchanges.

use mimeo_model::{ProxyMode, Session, SessionId, SessionState, Timestamp};
use mimeo_store::catalog::{Catalog, CatalogError, ExchangeFilter, ExchangeRow, SessionUpdate};
use mimeo_store::traffic::Location;

use crate::exchanges::exchange;

fn session(number: u8, name: &str) -> Session {
    let created_at = Timestamp::from_unix_micros(1_795_000_000_000_000 + i64::from(number) * 1_000_000);
    Session {
        id: SessionId::new(created_at, [number; 10]),
        name: name.to_owned(),
        mode: ProxyMode::Reverse,
        target: Some("https://api.example".into()),
        port: Some(8081),
        state: SessionState::Running,
        created_at,
        stopped_at: None,
        entries: 0,
        errors: 0,
        bytes: 0,
        lost: 0,
        keeps_credentials: false,
    }
}

#[tokio::test]
async fn sessions_are_found_by_name_identifier_prefix_and_age() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = Catalog::open(&folder.path().join("catalog.db")).await.expect("opened");
    let (first, second) = (session(1, "checkout"), session(2, "billing"));
    catalog.add_session(&first).await.expect("added");
    catalog.add_session(&second).await.expect("added");
    assert!(matches!(catalog.add_session(&session(3, "billing")).await, Err(CatalogError::NameTaken(_))));

    assert_eq!(catalog.sessions().await.expect("listed"), [second.clone(), first.clone()]);
    let id = first.id.to_string();
    // Identifiers of one second share their beginning; the last twelve digits tell these apart.
    for reference in ["checkout", &id, &id[..30]] {
        assert_eq!(catalog.find_session(reference).await.expect("found"), first, "{reference}");
    }
    assert_eq!(catalog.find_session("@last").await.expect("found"), second);
    assert!(matches!(catalog.find_session("nothing").await, Err(CatalogError::Unknown { .. })));
    assert!(matches!(catalog.find_session(&id[..6]).await, Err(CatalogError::Ambiguous { .. })));

    let stopped_at = Some(Timestamp::from_unix_micros(5));
    let update =
        SessionUpdate { state: SessionState::Stopped, stopped_at, entries: 4, errors: 1, bytes: 9, lost: 2 };
    catalog.update_session(first.id, &update).await.expect("updated");
    let found = catalog.find_session("checkout").await.expect("found");
    assert_eq!((found.state, found.entries, found.lost), (SessionState::Stopped, 4, 2));
    catalog.remove_session(first.id).await.expect("removed");
    assert!(catalog.find_session("checkout").await.is_err());
}

#[tokio::test]
async fn exchanges_are_listed_filtered_found_and_added_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalog = Catalog::open(&folder.path().join("catalog.db")).await.expect("opened");
    let session = session(1, "checkout");
    catalog.add_session(&session).await.expect("added");
    let rows: Vec<_> = (1..=450)
        .map(|number| {
            let location = Location { segment: 1, block: 36, index: number as u32 };
            ExchangeRow::new(session.id, number, location, &exchange(number))
        })
        .collect();
    catalog.add_exchanges(&rows).await.expect("added");
    catalog.add_exchanges(&rows[..10]).await.expect("nothing new");
    assert_eq!(catalog.indexed(session.id).await.expect("counted"), (450, 450));

    let all = ExchangeFilter::default();
    let page = catalog.list_exchanges(session.id, &all, 100, 3).await.expect("listed");
    assert_eq!(page, rows[100..103]);
    let filter = ExchangeFilter { path: Some("/orders/45".into()), failed: true, ..all };
    let found = catalog.list_exchanges(session.id, &filter, 0, 100).await.expect("listed");
    assert_eq!(found.iter().map(|row| row.sequence).collect::<Vec<_>>(), [45, 450]);
    assert_eq!(catalog.find_exchange(&rows[7].id.to_string()).await.expect("found"), rows[7]);
    assert!(matches!(catalog.find_exchange("01").await, Err(CatalogError::Ambiguous { .. })));
    assert_eq!(catalog.endpoints(session.id, 2).await.expect("counted").len(), 2);
}

#[tokio::test]
async fn two_openers_at_once_both_find_the_schema() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("catalog.db");
    let (one, two) = tokio::join!(Catalog::open(&path), Catalog::open(&path));
    one.expect("opened").add_session(&session(1, "a")).await.expect("added");
    two.expect("opened").add_session(&session(2, "b")).await.expect("added");
}
