package main

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	fmt.Println(simulator.VPX())
}
