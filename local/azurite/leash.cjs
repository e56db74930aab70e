// Ends this process when the program that started it is gone: its end closes our
// standard input, whichever way it ended.
process.stdin.on("end", () => process.exit(0));
process.stdin.on("error", () => process.exit(0));
process.stdin.resume();
