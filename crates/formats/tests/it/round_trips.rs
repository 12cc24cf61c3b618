//! What is written is read back: equal where the format carries everything, and as far as it goes elsewhere.

use mimeo_formats::AwsCall;
use mimeo_model::{AnsweredBy, Body, Content, Exchange, Headers, Timings};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::arbitrary;
use crate::drive::{exchanges, export, import};

/// A body kept elsewhere comes back as one of which nothing was captured.
fn without_stored(mut exchange: Exchange) -> Exchange {
    let empty = |body: &mut Body| {
        if matches!(body.content, Content::Stored { .. }) {
            body.content = Content::default();
        }
    };
    empty(&mut exchange.request.body);
    if let Some(response) = &mut exchange.response {
        empty(&mut response.body);
    }
    exchange
}

/// What a recording carries of an exchange.
fn as_recorded(mut exchange: Exchange) -> Exchange {
    exchange = without_stored(exchange);
    exchange.timings = Timings { total: exchange.timings.total, ..Timings::default() };
    exchange.frames.clear();
    exchange.answered_by = AnsweredBy::Upstream;
    exchange.graphql.clear();
    exchange.request.trailers = Headers::new();
    exchange.request.body.chunks.clear();
    if let Some(response) = &mut exchange.response {
        response.trailers = Headers::new();
        response.body.chunks.clear();
        response.interim.clear();
        if let Some(reason) = &response.reason {
            response.reason = Some(String::from_utf8_lossy(reason).into_owned().into());
        }
    }
    exchange
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn har_gives_back_what_it_was_given(exchange in arbitrary::exchange()) {
        let file = export("har", [&exchange], &[], None);
        prop_assert_eq!(exchanges(&file), [without_stored(exchange)], "{}", String::from_utf8_lossy(&file));
    }

    #[test]
    fn a_recording_gives_back_what_it_can_carry(exchange in arbitrary::exchange(), call in any::<bool>()) {
        // Without a response there must be a failure: status 0 alone says that nothing is known.
        if exchange.response.is_none() && exchange.failure.is_none() {
            return Ok(());
        }
        let call = call.then(|| AwsCall { service: "s3".into(), action: "GetObject".into() });
        let file = export("recording", [&exchange], &[], call.as_ref());
        let (imported, outcome) = import(&file);
        prop_assert!(outcome.is_ok(), "{:?} {}", outcome, String::from_utf8_lossy(&file));
        prop_assert_eq!(imported.len(), 1);
        prop_assert_eq!(&imported[0].call, &call);
        prop_assert_eq!(&imported[0].exchange, &as_recorded(exchange), "{}", String::from_utf8_lossy(&file));
    }

    #[test]
    fn gaps_and_order_survive_in_both_formats(
        recorded in vec(arbitrary::exchange(), 0..4),
        gaps in vec(arbitrary::gap(), 0..3),
    ) {
        for format in ["har", "recording"] {
            let file = export(format, &recorded, &gaps, None);
            let (imported, outcome) = import(&file);
            // Nothing is usable where every entry is without response and failure.
            let Ok(report) = outcome else { continue };
            prop_assert_eq!(report.format, format);
            prop_assert_eq!(&report.gaps, &gaps);
            prop_assert_eq!(report.creator.as_deref(), Some("Mimeo 1.2.3"));
            prop_assert_eq!(report.imported + report.skipped_total, recorded.len() as u64);
            let usable = |exchange: &&Exchange| {
                format == "har" || exchange.response.is_some() || exchange.failure.is_some()
            };
            let expected: Vec<_> = recorded.iter().filter(usable).map(|exchange| exchange.id).collect();
            let ids: Vec<_> = imported.iter().map(|one| one.exchange.id).collect();
            prop_assert_eq!(ids, expected);
        }
    }

    #[test]
    fn what_was_imported_once_stays_as_it_is(exchange in arbitrary::exchange()) {
        for (format, other) in [("har", "recording"), ("recording", "har")] {
            let (first, _) = import(&export(format, [&exchange], &[], None));
            let (second, _) = import(&export(other, first.iter().map(|one| &one.exchange), &[], None));
            let again = export(other, second.iter().map(|one| &one.exchange), &[], None);
            prop_assert_eq!(import(&again).0.into_iter().map(|one| one.exchange).collect::<Vec<_>>(),
                second.into_iter().map(|one| one.exchange).collect::<Vec<_>>());
        }
    }
}
