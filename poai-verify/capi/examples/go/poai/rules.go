package poai

/*
#include "poai.h"
*/
import "C"

import (
	"math/big"
	"unsafe"
)

// TimeRules limit how far a block's time may be from its ancestors' times and from now.
type TimeRules struct {
	// Ancestors is the number of ancestors whose median time a block's time has to be after: odd, 1 to 101.
	Ancestors uint32
	// FutureLimit is the number of seconds that a block may be ahead of the clock.
	FutureLimit uint64
}

func (r TimeRules) asked() C.struct_poai_times {
	return C.struct_poai_times{ancestors: C.uint32_t(r.Ancestors), future_limit: C.uint64_t(r.FutureLimit)}
}

// CheckPast checks that a time is after its ancestors' median, a rule of consensus. The parent's time is the first of
// latest. Times that do not count are not read, and a genesis may state any time.
func (r TimeRules) CheckPast(time uint64, latest []uint64) error {
	asked := r.asked()
	return errorOf(C.poai_times_check_past(&asked, C.uint64_t(time), firstNumber(latest), C.size_t(len(latest))))
}

// CheckFuture checks that a time is not too far ahead of the clock, a rule only for blocks that arrive.
func (r TimeRules) CheckFuture(time, now uint64) error {
	asked := r.asked()
	return errorOf(C.poai_times_check_future(&asked, C.uint64_t(time), C.uint64_t(now)))
}

// MedianTimePast returns the median of 1 to 101 times in any order; of an even number the later of the middle two.
func MedianTimePast(times []uint64) (uint64, error) {
	var median C.uint64_t
	err := errorOf(C.poai_median_time_past(firstNumber(times), C.size_t(len(times)), &median))
	return uint64(median), err
}

// Supply is a chain's schedule of supply, in base units.
type Supply struct {
	// Max is the largest supply that can ever exist.
	Max *big.Int
	// Foundation is the foundation's part of it, which exists from the genesis on.
	Foundation *big.Int
	// EraBlocks is the number of blocks in an era, within which every block has the same subsidy.
	EraBlocks uint64
	// EraDivisor is n: an era pays 1/n of what is left to pay when it begins.
	EraDivisor uint8
}

// EAI is EthereumAI's schedule.
func EAI() (Supply, error) {
	var eai C.struct_poai_supply
	if err := errorOf(C.poai_supply_eai(&eai)); err != nil {
		return Supply{}, err
	}
	var most, foundation [16]byte
	for i := range most {
		most[i], foundation[i] = byte(eai.supply_max[i]), byte(eai.foundation[i])
	}
	return Supply{
		Max:        new(big.Int).SetBytes(most[:]),
		Foundation: new(big.Int).SetBytes(foundation[:]),
		EraBlocks:  uint64(eai.era_blocks),
		EraDivisor: uint8(eai.era_divisor),
	}, nil
}

func (s Supply) asked() (asked C.struct_poai_supply, err error) {
	most, err := bytesOf("Max", s.Max)
	if err != nil {
		return asked, err
	}
	foundation, err := bytesOf("Foundation", s.Foundation)
	if err != nil {
		return asked, err
	}
	for i := range most {
		asked.supply_max[i], asked.foundation[i] = C.uint8_t(most[i]), C.uint8_t(foundation[i])
	}
	asked.era_blocks, asked.era_divisor = C.uint64_t(s.EraBlocks), C.uint8_t(s.EraDivisor)
	return asked, nil
}

// Subsidy returns the subsidy of the block at a height. The genesis, at height 0, is paid nothing.
func (s Supply) Subsidy(height uint64) (*big.Int, error) {
	asked, err := s.asked()
	if err != nil {
		return nil, err
	}
	var subsidy [16]byte
	if err := errorOf(C.poai_supply_subsidy(&asked, C.uint64_t(height), first(subsidy[:]))); err != nil {
		return nil, err
	}
	return new(big.Int).SetBytes(subsidy[:]), nil
}

// Issued returns the supply after the block at a height.
func (s Supply) Issued(height uint64) (*big.Int, error) {
	asked, err := s.asked()
	if err != nil {
		return nil, err
	}
	var issued [16]byte
	if err := errorOf(C.poai_supply_issued(&asked, C.uint64_t(height), first(issued[:]))); err != nil {
		return nil, err
	}
	return new(big.Int).SetBytes(issued[:]), nil
}

// LastPaidHeight returns the last height whose block is paid.
func (s Supply) LastPaidHeight() (uint64, error) {
	asked, err := s.asked()
	if err != nil {
		return 0, err
	}
	var height C.uint64_t
	err = errorOf(C.poai_supply_last_paid_height(&asked, &height))
	return uint64(height), err
}

// Work is the sum of the difficulties of a block and all its ancestors, the highest byte first. Its zero value is no work.
type Work [32]byte

// Add returns the work with one more block, of the difficulty that the block was checked against.
func (w Work) Add(difficulty *big.Int) (sum Work, err error) {
	asked, err := bytesOf("difficulty", difficulty)
	if err != nil {
		return sum, err
	}
	err = errorOf(C.poai_work_add(first(w[:]), first(asked[:]), first(sum[:])))
	return sum, err
}

// Cmp returns -1 if there is less work than in the other branch, 1 if there is more, else 0. The branch with more is the
// chain.
func (w Work) Cmp(other Work) int {
	var order C.int32_t
	// It fails only for null.
	C.poai_work_compare(first(w[:]), first(other[:]), &order)
	return int(order)
}

func errorOf(code C.int32_t) error {
	if code != C.POAI_OK {
		return Error(code)
	}
	return nil
}

// firstNumber returns a pointer to a slice's first number, or null if the slice is empty.
func firstNumber(numbers []uint64) *C.uint64_t {
	if len(numbers) == 0 {
		return nil
	}
	return (*C.uint64_t)(unsafe.Pointer(&numbers[0]))
}
