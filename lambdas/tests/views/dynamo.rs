mod contract {
    use crate::bed::DynamoBed;

    streamio_lambdas::view_store_contract!(DynamoBed::new());
}
