//! A library against its own recording.

use mimeo_library::verify::{Fidelity, verify};

use crate::recordings::{Ask, get, library, post, with_status};

fn told(fidelity: &[Fidelity]) -> Vec<(&str, &str, u64, u64)> {
    fidelity
        .iter()
        .map(|endpoint| (&endpoint.method[..], &endpoint.path[..], endpoint.recorded, endpoint.reproduced))
        .collect()
}

#[test]
fn every_endpoint_is_told_with_what_it_reproduces() {
    let mut cut = get("/cut").recorded(9, "half");
    if let Some(response) = &mut cut.response {
        response.body.length = 100;
    }
    let cut_id = cut.id;
    let library = library([
        get("/x?1").recorded(1, "1"),
        get("/x?2").recorded(2, "2"),
        get("/x?2").recorded(3, "3"),
        get("/users/1").recorded(4, "1"),
        get("/users/2").recorded(5, "2"),
        post("/users/2", "{}").recorded(6, "2"),
        cut,
    ]);
    let fidelity = verify(&library);
    assert_eq!(
        told(&fidelity),
        [
            ("GET", "/cut", 1, 0),
            ("GET", "/users/{id}", 2, 2),
            ("POST", "/users/{id}", 1, 1),
            ("GET", "/x", 3, 3)
        ]
    );
    assert_eq!(
        fidelity[0].failed,
        [(cut_id, "the response body was longer than the capture limit".to_owned())]
    );
}

#[test]
fn verifying_leaves_the_sequences_where_they_are() {
    let library = library([get("/x").recorded(1, "1"), get("/x").recorded(2, "2")]);
    assert_eq!(get("/x").of(&library).as_deref(), Some("1"));
    verify(&library);
    assert_eq!(get("/x").of(&library).as_deref(), Some("2"));
}

#[test]
fn parts_conditions_hosts_and_long_uploads_reproduce_themselves() {
    let mut upload = Ask { body: &[7; 2_000], ..post("/upload", "") }.recorded(1, "kept");
    upload.request.body.length = 9_000;
    let library = library([
        upload,
        with_status(get("/f").with(&[("Range", "bytes=0-1")]).recorded(2, "a"), 206),
        with_status(get("/f").with(&[("Range", "bytes=2-3")]).recorded(3, "b"), 206),
        with_status(get("/f").with(&[("If-None-Match", "x")]).recorded(4, ""), 304),
        get("/f").recorded(5, "ab"),
        get("/f").at("b.example").recorded(6, "other"),
    ]);
    for endpoint in verify(&library) {
        assert_eq!(endpoint.failed, [], "{}", endpoint.path);
    }
}
