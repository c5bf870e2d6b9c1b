// web-push-testing on a free port of this machine. Its own command takes the port that it is given.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const Server = require('web-push-testing/src/server.js');
const { PushApiModel } = require('web-push-testing/src/PushApiModel.js');

const model = new PushApiModel();
const server = new Server(model, 0);
server.setRequestHandlers();
const listening = server._app.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${listening.address().port}`;
  model.notifyUrl = `${url}/notify/`;
  console.log(`listens on ${url}`);
});
