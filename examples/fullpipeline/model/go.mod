// The bundled model lies in a module of its own so that the library's module
// zip does not carry it.
module github.com/borea-go/borea/examples/fullpipeline/model

go 1.26.0
