package httpapi

// TypeFields are for the test that holds them against the document.
var TypeFields = typeFields
