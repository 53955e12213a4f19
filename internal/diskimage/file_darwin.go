package diskimage

// The two have the opposite numbers of Linux (sys/unistd.h).
const seekHole, seekData = 3, 4
