// The newest of what came, within a bound.

// Keeps the newest rows that together weigh at most `limit`. While it is held,
// `view` stands still, and rows go on being kept and counted. Each row has a
// number, so that a display can tell what is new.
export class Tail {
  #rows = [];
  #weight = 0;
  #held = null;
  #heldAt = 0;
  #limit;
  #weigh;

  constructor(limit, weigh = () => 1) {
    this.#limit = limit;
    this.#weigh = weigh;
    this.count = 0;
  }

  push(row) {
    this.count += 1;
    this.#rows.push({ ...row, number: this.count });
    this.#weight += this.#weigh(row);
    let dropped = 0;
    while (this.#weight > this.#limit && dropped < this.#rows.length - 1) {
      this.#weight -= this.#weigh(this.#rows[dropped]);
      dropped += 1;
    }
    this.#rows.splice(0, dropped);
  }

  get view() {
    return this.#held ?? this.#rows;
  }

  get isHeld() {
    return this.#held !== null;
  }

  // How many came since it was held.
  get waiting() {
    return this.isHeld ? this.count - this.#heldAt : 0;
  }

  hold() {
    if (!this.isHeld) {
      this.#held = [...this.#rows];
      this.#heldAt = this.count;
    }
  }

  release() {
    this.#held = null;
  }

  // What was held is gone as well, so nothing waits.
  clear() {
    this.#rows = [];
    this.#weight = 0;
    this.release();
  }
}
