"""The kit judged: a right backend, a catalogue of wrong ones, and what each must be caught by."""
