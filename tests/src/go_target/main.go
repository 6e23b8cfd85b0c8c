// Calls functions that probes attach to, once for each line of its input, and answers each line.
package main

import "os"

type account struct{ balance int }

//go:noinline
func (a *account) deposit(amount int) int {
	a.balance += amount
	return a.balance
}

//go:noinline
func twice[Number int | float64](value Number) Number {
	return value + value
}

func main() {
	savings := &account{}
	line := make([]byte, 1)
	for {
		if read, _ := os.Stdin.Read(line); read == 0 {
			return
		}
		savings.deposit(twice(1))
		os.Stdout.Write([]byte("\n"))
	}
}
