package localsite_test

import (
	"context"
	"fmt"
	"log"

	"github.com/borea-go/borea/crawl"
	"github.com/borea-go/borea/crawl/localsite"
)

func ExampleStart() {
	site, err := localsite.Start(0)
	if err != nil {
		log.Fatal(err)
	}
	defer site.Close()
	c, err := crawl.New(localsite.Options(), localsite.Seeds(), crawl.Env{Hosts: site.Hosts()})
	if err != nil {
		log.Fatal(err)
	}
	pages := map[string]int{}
	for s, err := range c.Samples(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		pages[s.Domain]++
	}
	fmt.Println(pages)
	fmt.Println(c.Report().Total.Drops[crawl.Denied], "pages denied by robots.txt")
	// Output:
	// map[aerospace:44 defence:44 general:44 transport:44]
	// 2 pages denied by robots.txt
}
