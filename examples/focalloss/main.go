// Command focalloss trains the judge's head on feature vectors, without any model, with
// the focal loss and with plain cross-entropy, and prints what they did to the test part.
//
//	go run ./examples/focalloss
package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"log"

	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/eval"
)

//go:embed features.csv
var features []byte

func main() {
	vectors, examples, err := classifier.ReadVectors(bytes.NewReader(features))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("loss                   accuracy  macro F1  false allow")
	for _, loss := range []struct {
		name string
		classifier.FocalLoss
	}{
		{"cross-entropy", classifier.FocalLoss{}},
		{"focal, weights 1/3/5/5", classifier.DefaultOptions().Loss},
	} {
		if err := run(loss.name, loss.FocalLoss, vectors, examples); err != nil {
			log.Fatal(err)
		}
	}
}

func run(name string, loss classifier.FocalLoss, vectors *classifier.Vectors, examples []classifier.Example) error {
	o := classifier.DefaultOptions()
	o.Loss, o.Epochs, o.HeadRate = loss, 30, 0.02
	train, val, test := examples[:200], examples[200:260], examples[260:]
	head, _, err := classifier.Train(context.Background(), vectors, train, val, o, classifier.Env{})
	if err != nil {
		return err
	}
	judge := classifier.Judge{Head: head, Backbone: vectors, BatchSize: 32}
	c := eval.Confusion{make([]int, 4), make([]int, 4), make([]int, 4), make([]int, 4)}
	for _, ex := range test {
		p, _, err := judge.Predict(context.Background(), []string{ex.Text})
		if err != nil {
			return err
		}
		c[ex.Class.Index()][p[0].Class.Index()]++
	}
	s, err := eval.NewSafety(c, 0.95, nil)
	fmt.Printf("%-22s %8v  %8v  %d of %d (at most %v)\n", name, c.Accuracy(), c.Macro(c.F1, eval.OverFixed, 0), s.FalseAllow.K, s.FalseAllow.N, s.FalseAllow.UpperOneSided)
	return err
}
