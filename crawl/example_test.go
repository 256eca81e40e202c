package crawl_test

import (
	"context"
	"fmt"
	"log"

	"github.com/borea-go/borea/crawl"
	"github.com/borea-go/borea/crawl/localsite"
)

// Crawls the bundled site, two pages of it.
func Example() {
	site, err := localsite.Start(0.01)
	if err != nil {
		log.Fatal(err)
	}
	defer site.Close()
	c, err := crawl.New(localsite.Options(), localsite.Seeds(), crawl.Env{Hosts: site.Hosts()})
	if err != nil {
		log.Fatal(err)
	}
	n := 0
	for s, err := range c.Samples(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.URL, s.Domain, s.Language, s.Licence)
		if n++; n == 2 {
			break
		}
	}
	// Output:
	// http://site.test/defence/overview defence ja CC0-1.0
	// http://site.test/defence/civilian-control defence ja CC0-1.0
}
