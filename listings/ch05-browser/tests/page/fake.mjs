// An EventSource without a connection: a test says what it hears.

export function fakeEventSource() {
  return class FakeEventSource extends EventTarget {
    static CONNECTING = 0;
    static OPEN = 1;
    static CLOSED = 2;
    static all = [];
    static get last() {
      return this.all.at(-1);
    }

    readyState = 0;

    constructor(url) {
      super();
      this.url = String(url);
      this.constructor.all.push(this);
    }

    close() {
      this.readyState = 2;
    }

    open() {
      this.readyState = 1;
      this.dispatchEvent(new Event("open"));
    }

    // The connection is lost; the browser will make another.
    lose() {
      this.readyState = 0;
      this.dispatchEvent(new Event("error"));
    }

    refuse() {
      this.readyState = 2;
      this.dispatchEvent(new Event("error"));
    }

    event(data, lastEventId = "", type = "message") {
      this.dispatchEvent(new MessageEvent(type, { data, lastEventId }));
    }
  };
}
