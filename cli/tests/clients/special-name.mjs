/** A file name with characters that have a meaning in URLs, queries, XML, shells or cookies, or are not ASCII. */
export const SPECIAL_NAME = `a b+c%20d "e" 'f' (é) 日本 &?#;=<>!*@$.mp4`;
