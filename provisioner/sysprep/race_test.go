//go:build race

package sysprep

func init() { raceDetector = true }
