package hfconfig_test

import (
	"fmt"
	"testing/fstest"

	"github.com/borea-go/borea/internal/hfconfig"
)

func ExampleRead() {
	_, err := hfconfig.Read(fstest.MapFS{"config.json": {Data: []byte(`{"model_type":"llama"}`)}})
	fmt.Println(err)
	// Output: config.json: model_type = "llama" is not supported; this engine runs Phi-3 models with longrope or no rope scaling
}
