package classifier_test

import (
	"fmt"

	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/label"
)

func ExampleFocalLoss() {
	f := classifier.FocalLoss{Gamma: 2, Weights: []float64{1, 3, 5, 5}}
	grad := make([]float64, 4)
	loss, err := f.Hard([]float64{2, 0.5, -1, 0}, 4, []int{0}, classifier.ReduceMean, grad)
	fmt.Printf("%.4f %.4f %v\n", loss.Value, grad[0], err)
	// Output: 0.0288 -0.0652 <nil>
}

func ExampleFitNaiveBayes() {
	train := []classifier.Example{
		{Text: "仕組みを教えて", Class: label.Allow}, {Text: "歴史を教えて", Class: label.Allow},
		{Text: "続けてよいか決めて", Class: label.Escalation}, {Text: "出してよいか決めて", Class: label.Escalation},
	}
	b, err := classifier.FitNaiveBayes(train, classifier.CharNGrams(1, 2), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := b.Predict("使ってよいか")
	fmt.Printf("%s %.2f\n", p.Class, p.P[p.Class.Index()])
	// Output: ESCALATION 1.00
}
