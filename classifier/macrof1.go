package classifier

import "github.com/borea-go/borea/label"

// macroF1 over the classes that truth or prediction holds.
func macroF1(z []float64, truth []Example) float64 {
	var tp, fp, fn [label.Count]float64
	for i, ex := range truth {
		y, p := ex.Class.Index(), mostProbable(z[i*label.Count:(i+1)*label.Count])
		if y == p {
			tp[y]++
			continue
		}
		fp[p]++
		fn[y]++
	}
	sum, n := 0.0, 0.0
	for k := range tp {
		if d := 2*tp[k] + fp[k] + fn[k]; d > 0 {
			sum, n = sum+2*tp[k]/d, n+1
		}
	}
	return sum / n
}
